"""A small corpus of faces and synthetic voices, made on the spot in the layouts of VoxCeleb1, VoxCeleb2 and MUSAN."""
