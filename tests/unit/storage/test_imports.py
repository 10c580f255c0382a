"""What a start pays for: the driver of an engine is read when its url is given."""

import subprocess
import sys


def test_nobody_on_postgresql_waits_for_the_other_driver() -> None:
    code = "import sys, guilder.storage; sys.exit('pymongo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
