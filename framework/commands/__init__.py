"""The subcommands of `carrybook`, by what they are about; `framework.command_line` has the first of them."""
