"""Serves the files of this machine over SFTP. Run as a program: PORT USER PASSWORD."""

from __future__ import annotations

import asyncio
import sys

import asyncssh


class OneUser(asyncssh.SSHServer):
    """Let one user in, by password."""

    def password_auth_supported(self) -> bool:
        """There is no other way in."""
        return True

    def validate_password(self, username: str, password: str) -> bool:
        """Tell whether it is the one."""
        return [username, password] == sys.argv[2:]


async def serve() -> None:
    """Serve until the program is ended."""
    await asyncssh.listen(
        "127.0.0.1",
        int(sys.argv[1]),
        server_factory=OneUser,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=True,
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
