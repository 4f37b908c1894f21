import numpy as np
import pytest


@pytest.fixture(scope="session")
def portraits():
    """20 pictures uint8 (224, 224, 3), a face of 160 pixels in the middle of each, from scikit-image's samples."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    pictures = []
    for face in data.lfw_subset()[:20]:
        large = Image.fromarray((face * 255).astype(np.uint8)).resize((160, 160), Image.Resampling.BICUBIC)
        canvas = np.full((224, 224, 3), 90, np.uint8)
        canvas[32:192, 32:192] = np.asarray(large)[..., None]
        pictures.append(canvas)
    return pictures
