"""Django's own storage, made as durable as ours."""

# mypy: ignore-errors
# (Django is in an environment of its own.)

import os
from pathlib import Path

from django.core.files.storage import FileSystemStorage


class DurableStorage(FileSystemStorage):
    """Puts a file and its folder's entry on the disk before it says that it is saved."""

    def _save(self, name, content):
        name = super()._save(name, content)
        file = Path(self.path(name))
        for path in (file, file.parent):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return name
