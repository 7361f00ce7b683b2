"""The result of a test as a plain page, for browsers without JavaScript."""

from .form import escaped

_HEAD = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8">%s'
    '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Setup</title>'
    '<body style="font:1.1em sans-serif;margin:1em auto;max-width:30em;padding:0 1em">'
)
_NAMES = {"wifi": "Wi-Fi", "broker": "Broker", "save": "Settings"}
_HOW = {"waits": "waiting", "busy": "being tried", "good": "good", "bad": "failed", "skipped": "left out"}


def page(portal):
    """The page for the trial of a Portal."""
    trial = portal.trial
    if trial is None:
        return _HEAD % "" + '<p>Nothing was tried yet. <a href="/">To the form</a>'
    out = [_HEAD % ('<meta http-equiv="refresh" content="2">' if trial.busy else "")]
    out.append("<h1>%s</h1><ul>" % ("One moment" if trial.busy else "Saved" if trial.saved else "Not saved"))
    for name, how, text in trial.steps:
        how = "not done" if how == "waits" and not trial.busy else _HOW[how]
        out.append("<li><b>%s</b>: %s %s" % (_NAMES[name], how, escaped(text)))
    out.append("</ul>")
    if trial.saved:
        out.append("<p>The device now joins <b>%s</b>. This network goes away." % escaped(trial.ssid))
    elif not trial.busy:
        out.append(
            '<form method="post" action="/save"><button>Save anyway</button></form><p><a href="/">Change it</a>'
        )
    return "".join(out)


def wrong(text):
    """The page for what cannot be tried."""
    return _HEAD % "" + '<h1>Please look again</h1><p>%s<p><a href="/">Back</a>' % escaped(text)
