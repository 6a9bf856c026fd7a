"""The experiments that ship with the package, one YAML file each; `affect-lightning experiments` lists them."""
