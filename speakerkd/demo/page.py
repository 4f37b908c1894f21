"""The page's parts and what its buttons do (gradio)."""

from __future__ import annotations

from typing import Any

from speakerkd.demo.answers import Answers
from speakerkd.demo.drawing import text

FONTS = ("system-ui", "sans-serif")  # of the reader's machine: none is fetched


def build_page(answers: Answers) -> Any:
    """The page as gradio's Blocks; its three tabs are verification and both ways of matching.

    Their names are short, so that a phone shows all three.
    """
    import gradio as gr

    settings, package = answers.settings, answers.model.package
    sound: Any = {"sources": ["upload", "microphone"], "type": "filepath", "editable": False, "buttons": []}
    private: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 1}
    with gr.Blocks(analytics_enabled=False, title="speakerkd") as page:
        gr.HTML(
            f'<div class="skd"><h1 style="font-size:24px;font-weight:650">Voices and faces</h1>'
            f"<p>Model <b>{text(answers.model.directory.resolve().name)}</b>, {package.dim} numbers an embedding. "
            "Recordings and pictures stay on the machine that runs this page. They are dropped after ten minutes, and "
            f"when it ends. At most {settings.seconds:g} s and {settings.megabytes} MB a file.</p></div>"
        )
        with gr.Tab("Two voices"):
            gr.HTML(f'<div class="skd"><p class="note">{MICROPHONE}</p></div>')
            with gr.Row():
                first, second = (
                    gr.Audio(label=f"{which.capitalize()} recording", elem_id=which, **sound)
                    for which in ("first", "second")
                )
            compare = gr.Button("Compare", variant="primary", elem_id="compare")
            compare.click(answers.verify, [first, second], gr.HTML(elem_id="verified"), **private)
        with gr.Tab("Find a face"):
            if answers.no_faces:
                gr.HTML(f'<div class="skd"><p>{text(answers.no_faces)}</p></div>')
            else:
                with gr.Row():
                    voice = gr.Audio(label="Recording", elem_id="voice", **sound)
                    faces = gr.File(file_count="multiple", label=f"Pictures, up to {settings.files}", elem_id="faces")
                find = gr.Button("Find the face", variant="primary", elem_id="find-face")
                find.click(answers.faces_of_voice, [voice, faces], gr.HTML(elem_id="found-face"), **private)
        with gr.Tab("Find a voice"):
            if answers.no_faces:
                gr.HTML(f'<div class="skd"><p>{text(answers.no_faces)}</p></div>')
            else:
                with gr.Row():
                    face = gr.File(label="Picture", elem_id="face")
                    voices = gr.File(
                        file_count="multiple", label=f"Recordings, up to {settings.files}", elem_id="voices"
                    )
                search = gr.Button("Find the voice", variant="primary", elem_id="find-voice")
                search.click(answers.voices_of_face, [face, voices], gr.HTML(elem_id="found-voice"), **private)
        gr.HTML(f'<div class="skd"><p class="note">{LIMITS}</p></div>')
    return page.queue(max_size=16)


MICROPHONE = "Choose files, or record: where the browser finds no microphone, allow this page to use it, then reload."
LIMITS = (
    "Voices and faces are biometric data: use those of people who agreed. No answer here proves who somebody is. "
    "Played-back and synthetic voices are not detected."
)


def theme() -> Any:
    """Gradio's plain look without fonts from elsewhere."""
    import gradio as gr

    return gr.themes.Base(font=FONTS, font_mono=("ui-monospace", "monospace"))
