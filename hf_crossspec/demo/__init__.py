"""The demo: a page to try an adapter on, in a Space or by `crossspec demo`.

options.py    what is shown, and where            engine.py     networks and detector, loaded while the page is served
sessions.py   what a visitor has brought          gallery.py    a gallery in memory
synthetic.py  rendered people to try it with      marks.py      scores, faces and projections as HTML
inputs.py     pictures from outside               theme.py      looks, without anything from other hosts
verify_tab.py  identify_tab.py  spectra_tab.py  hallucinate_tab.py  model_tab.py   api.py   app.py puts them together
"""

from hf_crossspec.demo.options import DemoOptions

__all__ = ["DemoOptions"]
