"""What lies here and what lies elsewhere, by its name."""


def is_address(name: str) -> bool:
    """Whether ``name`` is one, such as ``s3://bucket/folder``, and not a local path."""
    return "://" in name
