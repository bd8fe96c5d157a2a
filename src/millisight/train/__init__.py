"""Own classes: from folders of pictures to a bundle. Needs the ``build`` extra."""
