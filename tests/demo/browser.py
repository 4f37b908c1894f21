"""A headless Chromium driven through its own protocol over a pipe: no driver, no other package."""

import base64
import json
import os
import shutil
import subprocess
import time

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATH = next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Browser:
    """One window of 1280 x 900, with a made microphone that beeps, which pages may use or not."""

    def __init__(self, folder, microphone=True):
        ours, theirs = os.pipe()  # commands: we write `theirs`
        back_read, back_write = os.pipe()
        fake = ["--use-fake-device-for-media-stream", *(["--use-fake-ui-for-media-stream"] if microphone else [])]
        command = [
            *(PATH, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"),
            *("--disable-dev-shm-usage", "--window-size=1280,900", f"--user-data-dir={folder}", *fake, "about:blank"),
        ]

        def wire():
            for source, target in ((os.dup(ours), 3), (os.dup(back_write), 4)):
                os.dup2(source, target)

        self.process = subprocess.Popen(
            command, preexec_fn=wire, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(ours)
        os.close(back_write)
        self._out, self._in = os.fdopen(theirs, "wb", 0), os.fdopen(back_read, "rb", 0)
        self._number, self._rest, self.session = 0, b"", None
        self.requests, self.console = [], []
        if not microphone:
            self.call("Browser.setPermission", permission={"name": "microphone"}, setting="denied")
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The answer to a command; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                if not (data := self._in.read(1 << 16)):
                    raise RuntimeError("the browser has ended")
                self._rest += data
            one, _, self._rest = self._rest.partition(b"\0")
            reply = json.loads(one)
            if reply.get("method") == "Network.requestWillBeSent":
                self.requests.append(reply["params"]["request"]["url"])
            if reply.get("method") == "Log.entryAdded":
                self.console.append(reply["params"]["entry"]["text"])
            if reply.get("id") == self._number:
                if "error" in reply:
                    raise RuntimeError(f"{method}: {reply['error']['message']}")
                return reply["result"]

    def run(self, script):
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description"))
        return result["result"].get("value")

    def until(self, script, seconds=40):
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.1)
        raise AssertionError(f"never came: {script}; the page says {self.run('document.body.innerText')[:1500]!r}")

    def open(self, address):
        self.call("Page.navigate", url=address)
        self.until("document.readyState == 'complete' && !!document.querySelector('#compare')")

    def click(self, what):
        """Click the visible element of a selector, or the visible button of a text."""
        self.until(f"!!({_find(what)})")
        self.run(f"({_find(what)}).click()")

    def give(self, selector, *paths):
        """Choose files in a file input."""
        self.until(f"!!document.querySelector({json.dumps(selector)})")
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.call("DOM.setFileInputFiles", files=[str(p) for p in paths], objectId=node["result"]["objectId"])

    def text(self):
        return self.run("document.body.innerText")

    def picture(self, path):
        """A screenshot of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (RuntimeError, OSError):
            pass
        self.process.wait(20)
        self._out.close()
        self._in.close()


def _find(what):
    shown = "e.offsetParent !== null"
    if what.startswith("#") or what.startswith("."):
        return f"[...document.querySelectorAll({json.dumps(what)})].find(e => {shown})"
    return (
        f"[...document.querySelectorAll('button, [role=tab]')].findLast(e => {shown} && "
        f"[e.innerText.trim(), e.ariaLabel, e.title].includes({json.dumps(what)}))"
    )
