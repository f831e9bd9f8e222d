"""Keyed hashes of session ids: equal ids have equal hashes, and without the key no id can be guessed from its hash."""

import os
from hashlib import blake2b
from pathlib import Path

from segue.errors import ArtifactError
from segue.storage import locked, make_folder, replacing_file

_BYTES = 32


class KeyedHash:
    """A hash with a key.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self.key = key

    @classmethod
    def of(cls, file: Path) -> "KeyedHash":
        """Return the hash with the key in a file, which is created if it does not exist.

        Raises:
            ArtifactError: the file is not such a key.
            StorageError: it cannot be written.
        """
        if not file.exists():
            make_folder(file.parent)
            with locked(file.with_name(f"{file.name}.lock")):  # Of several workers, one makes the key.
                if not file.exists():
                    with replacing_file(file) as scratch:
                        scratch.write_bytes(os.urandom(_BYTES))
                        scratch.chmod(0o600)
        try:
            key = file.read_bytes()
        except OSError as error:
            raise ArtifactError(f"{file}: cannot be read ({error.strerror or error})") from error
        if len(key) != _BYTES:
            raise ArtifactError(f"{file}: must hold {_BYTES} bytes, got {len(key)}; remove the file to make a new key")
        return cls(key)

    def __call__(self, text: str) -> bytes:
        """Return 16 bytes."""
        return blake2b(text.encode(), key=self.key, digest_size=16).digest()

    def of_user(self, user_id: str) -> str:
        """Return the hash of the id of a user, as text, which the journal keeps in its place."""
        return self(f"user\0{user_id}").hex()
