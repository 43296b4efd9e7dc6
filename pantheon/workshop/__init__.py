"""``workshop``: deployments for many people on this machine, a page for the instructor, and an end without remains."""
