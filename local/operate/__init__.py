"""The operator's commands against any deployment: `status` counts its records, `replay` resends failed ones.

Exit codes: 0 all is well; 1 not every matching record succeeded; 2 the deployment could not be asked.
"""

from local.operate.commands import add_arguments, run

__all__ = ["add_arguments", "run"]
