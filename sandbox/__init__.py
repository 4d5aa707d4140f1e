"""The sandbox: isolated workspaces, and above them the airlock through which alone their outputs leave."""
