"""The Space: the package's demo, set up by the Space's variables."""

import os

from hf_crossspec.demo import DemoOptions
from hf_crossspec.demo.app import serve

if __name__ == "__main__":
    serve(
        DemoOptions(
            model=os.environ.get("CROSSSPEC_MODEL"),  # Hub ids; without them the embedded nano and rendered faces
            adapter=os.environ.get("CROSSSPEC_ADAPTER"),
            hallucinator=os.environ.get("CROSSSPEC_HALLUCINATOR"),
            mcp_server=os.environ.get("CROSSSPEC_MCP_SERVER") == "1",
        )
    )
