"""From a folder of pictures to a bundle of one's own classes. Needs the ``build`` extra."""
