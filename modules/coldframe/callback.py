"""Calling the user's functions: how many arguments they take, sync or async."""

COROUTINE = type((lambda: (yield))())


def arity(function, most=2):
    """How many positional arguments a function takes, found without running it.

    function: anything that can be called: a def, async def, lambda, method, or one that is written in C.
    most: the answer for a function that takes any number, and the highest answer there is.
    Returns 0 to most.

    MicroPython has neither ``inspect`` nor ``__code__.co_argcount`` on microcontrollers. What every port does is
    check the arguments before the first line of a function runs; so it is called with more than any callback takes
    and a keyword that none can have, and what is wrong with that tells the number: "takes 1 positional arguments
    but 9 were given". Ports that are built with short messages only tell right from wrong; there the numbers are
    tried in turn, still with the impossible keyword. A function with both ``*args`` and ``**kwargs``, which would
    take even that, is the one kind that this runs; as it most often only hands over to another one, the answer
    is then that one's.
    """
    for given, keywords in ((9, {"?": 0}), (9, {})):
        text = _complaint(function, given, keywords)
        # "doesn't take keyword arguments": it is written in C; the number is found without the keyword.
        if "take keyword" in text:
            continue
        if "positional argument" in text or "expected at most" in text:
            # Methods count themselves in both numbers.
            numbers = [int(word) for word in text.replace(",", " ").split() if word.isdigit()]
            return min(most, numbers[0] - (numbers[1] - given))
        if "keyword" in text:
            return most
        break
    if "mismatch" not in text:
        return most
    for given in range(most, 0, -1):
        if "keyword" in _complaint(function, given, {"?": 0}):
            return given
    return 0


def _complaint(function, given, keywords):
    # What MicroPython says to a call with so many arguments.
    try:
        function(*(None,) * given, **keywords)
    except TypeError as e:
        return str(e)
    except Exception:  # it ran (see above), and failed for reasons of its own
        pass
    return ""


async def call(function, count, topic, payload):
    """Call a callback with as many of (topic, payload) as it takes, payload first; wait for it if it is async.

    count: what arity() said. Returns what the callback returns; its exceptions pass through.
    """
    if count == 0:
        result = function()
    elif count == 1:
        result = function(payload)
    else:
        result = function(topic, payload)
    if isinstance(result, COROUTINE):
        result = await result
    return result
