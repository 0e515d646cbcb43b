"""Pages lose weight, never what they say."""

import pytest
from lighten import on_post_page


@pytest.mark.parametrize(
    ("page", "lighter"),
    [
        ("<p>\n\n    a  b\n   c</p>", "<p>\na  b\nc</p>"),
        ("<pre>x\n\n    y</pre>\n\n  <p>", "<pre>x\n\n    y</pre>\n<p>"),
        ('<span class="n">f</span><span class="p">(</span>', "f("),
        ('<span class="k">def</span><span class="w"> </span>', '<span class="k">def</span> '),
        ('<span class="n"><span title="int">int</span></span>', None),
        ("<script>\n\n  1</script>", None),
        (
            "<table><tr></table>\n<table>",
            '<div class="table" tabindex="0"><table><tr></table></div>\n<table>',
        ),
        ('<td style="text-align: left;">', "<td>"),
        ("<tr><th></th><th>He</th></tr>", "<tr><td></td><th>He</th></tr>"),
        ('<td style="text-align: right;">', None),
        (
            '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mi>x</mi>'
            '<annotation encoding="application/x-tex">x</annotation></semantics></math>',
            "<math><mi>x</mi></math>",
        ),
    ],
)
def test_only_what_changes_nothing_goes(page, lighter):
    assert on_post_page(page) == (page if lighter is None else lighter)
