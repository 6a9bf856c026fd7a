"""Templates of plugin packages for every kind of part, and how they become a package (docs/plugins.md).

`affect-lightning plugins new` calls `write_plugin_package`. The files named `*.template` beside this module hold the texts,
with `$name` where something is put in. Standard library only.
"""

from affect_lightning.plugin_templates.writing import KINDS, PackageNames, TemplateKind, write_plugin_package

__all__ = ["KINDS", "PackageNames", "TemplateKind", "write_plugin_package"]
