"""A winner at work: on pictures, folders of them, videos and a camera."""
