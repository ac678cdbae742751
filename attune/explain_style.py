"""The style sheet of the explanation page: system fonts, light and dark by the reader's choice."""

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6570;--line:#d5dbe1;--card:#fff;
--back:#f3f5f7;--plain:#b8c2cc;--dot:#1b1f24;--band:#1b1f2433;--raises:#2563eb;--lowers:#d95f02}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf0;--soft:#9aa5b1;--line:#333c46;--card:#181d23;
--back:#0f1317;--plain:#4b5763;--dot:#e8ecf0;--band:#e8ecf033;--raises:#5b8df6;--lowers:#f08a3c}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:780px;margin:0 auto;padding:24px 16px 48px}
header h1{margin:0;font-size:1.7rem}header p{margin:0;color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:16px 20px;margin:16px 0}
h2{font-size:1.1rem;margin:0 0 10px}h3{font-size:.95rem;margin:18px 0 6px;font-weight:600}
h3:first-of-type{margin-top:0}
small,.note,.axis-row,.top{color:var(--soft)}small{font-weight:400}
.note{border-left:3px solid var(--lowers);padding-left:12px;margin:14px 0;font-size:.9rem}
.figure{font-size:2.4rem;font-weight:650;margin:0;line-height:1.2}
.figure small{font-size:.95rem;margin-left:12px}
svg{display:block;width:100%;margin:8px 0;overflow:visible}
svg text{font:14px system-ui,sans-serif;fill:var(--ink)}
svg .tick{text-anchor:middle;fill:var(--soft);font-size:12px}svg .value{text-anchor:end}
svg .axis{stroke:var(--soft);stroke-width:1}svg .band{fill:var(--band)}
svg .dot{fill:var(--dot)}svg .plain{fill:var(--plain)}
svg .raises{fill:var(--raises)}svg .lowers{fill:var(--lowers)}
.said{font-size:1.25rem;line-height:2;margin:4px 0}
mark{color:inherit;border-radius:5px;padding:3px 4px}
.top{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;
margin:6px 0;font-size:.9rem}
.faces{display:flex;flex-wrap:wrap;gap:8px}
.faces span{position:relative;display:block;width:calc(12.5% - 7px);min-width:70px}
.faces img{display:block;width:100%;aspect-ratio:1;border-radius:6px}
.faces .over,.spectrum .over{position:absolute;inset:0 0 auto 0}
.faces i{display:block;text-align:center;font-style:normal;font-size:.8rem;color:var(--soft)}
.spectrum{position:relative;height:170px;border:1px solid var(--line);border-radius:6px;
overflow:hidden;background:repeating-linear-gradient(45deg,var(--line) 0 4px,transparent 4px 10px)}
.spectrum img{position:absolute;inset:0;width:100%;height:100%}
.axis-row{display:flex;justify-content:space-between;margin:0;font-size:.8rem}
.key{border-radius:5px;padding:2px 8px;color:#fff;font-size:.9rem}
.key.raises{background:#2563eb}.key.lowers{background:#b84f00}
table{border-collapse:collapse;font-size:.85rem;width:100%}
th,td{text-align:left;padding:4px 8px 4px 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500}td{font-variant-numeric:tabular-nums}
ul{padding-left:20px;margin:6px 0}
@media print{body{background:#fff}section{break-inside:avoid}}
"""
