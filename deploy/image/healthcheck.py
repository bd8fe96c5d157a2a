"""Exit with 0 if the server in this container takes pictures, else with 1 and the reason.

Only the standard library, and no more of it than this needs: it runs twice a minute beside the
server and takes a tenth of what the ``millisight`` command takes to start.
"""

import http.client
import os
import sys

TIMEOUT = 4.0
"""Seconds; less than the image's own limit on the check, so that the reason is seen."""


def main() -> int:
    """Ask the server where the environment says that it listens."""
    host = os.environ.get("MILLISIGHT_HOST", "127.0.0.1")
    port = int(os.environ.get("MILLISIGHT_PORT", "8000"))
    # Addresses that mean "all of mine" are none to connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        print(answer.status, answer.read(1000).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException) as error:
        print(f"No answer from {host} port {port}: {error}")
        return 1
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
