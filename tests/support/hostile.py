"""What others may write to do harm where it is shown, and how a page is searched for that harm."""

from __future__ import annotations

from typing import Any

MARK = "opsrailpwn"
"""Stands in whatever a payload would make: a variable, an element, a class, an id."""
COMPUTED = "51317"
"""What a template engine makes of the payload that computes; it stands in no payload."""
RUN = f"window.{MARK}=1"
PAYLOADS: dict[str, str] = {
    "script": f"<script>{RUN}</script>",
    "closing": f"</title></textarea></style></script></svg></select><{MARK}>",
    "double quote": f'"><img src=x class={MARK} onerror="{RUN}">',
    "single quote": f"'><svg class={MARK} onload='{RUN}'>",
    "attribute": f'" autofocus onfocus="{RUN}" x="',
    "attribute, single": f"' onmouseover='{RUN}' x='",
    "no quote": f"x onmouseover={RUN} class={MARK}",
    "url": f"javascript:{RUN}",
    "url, hidden": f"java\tscript:{RUN}//%0a{RUN}",
    "url, data": f"data:text/html,<script>{RUN}</script>",
    "link": f'<a class={MARK} href="javascript:{RUN}">click</a>',
    "elsewhere": f"https://elsewhere.example/{MARK}.png",
    "elsewhere, no scheme": f"//elsewhere.example/{MARK}",
    "svg": f"<svg class={MARK}><script>{RUN}</script><use href='data:image/svg+xml,<svg/>'/></svg>",
    "math": f"<math><mtext><table><mglyph><style><!--</style><img class={MARK} onerror={RUN} src=x>",
    "style": f"</style><style>*{{display:none}}</style><link rel=stylesheet class={MARK} href=//elsewhere.example/>",
    "frame": f'<iframe class={MARK} srcdoc="<script>parent.{MARK}=1</script>"></iframe>',
    "base": f"<base class={MARK} href=https://elsewhere.example/>",
    "refresh": f'<meta class={MARK} http-equiv=refresh content="0;url=https://elsewhere.example/">',
    "form": f"<form id={MARK} action=//elsewhere.example><input name=csrf><button>ok</button></form>",
    "escaped": f"&lt;script&gt;{RUN}&lt;/script&gt;&#60;{MARK}&#62;",
    "url-encoded": f"%3Cscript%3E{RUN}%3C/script%3E",
    "script's string": f'"}};{RUN};//',
    "script's comment": f"--></script><!--<script>{RUN}</script>",
    "template": "{{ 7331*7 }}{% raw %}${7331*7}<%= 7331*7 %>#{7331*7}",
    "template, deep": "{{ self.__init__.__globals__.__builtins__ }}{{ cycler.__init__ }}",
    "header": f"x\r\nset-cookie: {MARK}=1\r\n\r\n<{MARK}>",
    "lines": "one\u2028two\u2029three\x85four\x0bfive",
    "bidi": "invoice \u202egpj.exe\u202c \u2066\u2067\u200f\u061c",
    "unseen": "a\u200bb\u00adc\ufeffd\u2060e\U000e0041",
    "combining": "Z" + "\u0301\u0302\u0308\u0323" * 60,
    "wide": "\u202f👩\u200d👩\u200d👧\u200d👦 名前 ﷽ \U0001f3f4\U000e0067\U000e0062",
    "controls": "a\x01\x08\x1b[31mred\x7f",
    "format": "%s%n%x ../../../../etc/passwd '; DROP TABLE cases; --",
    "long word": "W" * 3_000,
    "long text": f"<{MARK}> many words " * 600,
    "deep": "[" * 500,
    "nothing": " ",
}
SEARCH = f"""() => {{
  const made = [...document.querySelectorAll(
    '{MARK}, .{MARK}, #{MARK}, base, iframe, object, embed, meta[http-equiv], script:not([nonce]), style:not([nonce])')];
  for (const each of document.querySelectorAll('*')) {{
    for (const {{ name, value }} of each.attributes) {{
      const leads = ['href', 'src', 'action', 'formaction', 'data', 'srcdoc', 'xlink:href'].includes(name);
      const runs = /^(java|vb)?script:|^data:text/i.test(value.replace(/\\s/g, ''));
      if (name.startsWith('on') || (leads && runs)) made.push(each);
    }}
  }}
  for (const each of document.querySelectorAll('a[href], form[action], img[src], use[href], link[href]')) {{
    const to = each.href?.baseVal ?? each.href ?? each.action ?? each.src;
    if (typeof to === 'string' && /elsewhere\\.example/.test(new URL(to, document.baseURI).host)) made.push(each);
  }}
  return {{
    ran: '{MARK}' in window,
    made: made.map(each => each.outerHTML.slice(0, 200)),
    computed: document.documentElement.textContent.includes('{COMPUTED}'),
  }};
}}"""


async def harm_in(page: Any) -> list[str]:
    """Return what a payload did to a page; empty: nothing."""
    found = await page.evaluate(SEARCH)
    cookies = [each for each in await page.context.cookies() if each["name"] == MARK]
    return [
        *(["a script of a payload ran"] if found["ran"] else []),
        *(["a template computed a payload"] if found["computed"] else []),
        *(f"made of a payload: {each}" for each in found["made"]),
        *("a payload set a cookie" for _ in cookies),
    ]
