"""Makes the components that the configuration describes: docs/components.md. Imported for that moment only.

Where they are looked for, the first place that has any is the one that counts: "components" in config.json,
/components.json, /components/NAME.json, a module components with a dict COMPONENTS.
"""

import asyncio
import json
import os
import sys

import coldframe
from coldframe import bootrecord, components, store
from coldframe.callback import COROUTINE

ROOT = "/"
INIT_TIME = 30  # seconds for an init_function
_LIMIT = 16384  # bytes of a file
_KEYS = (
    "package",
    "component",
    "constructor_args",
    "init_function",
    "init_args",
    "call_function_regularly",
    "call_interval",
)


class Fault(Exception):
    """A mistake in a description: the text says where, what was found and what was expected; no traceback helps."""


def start(node):
    """Start the service that makes the components of a node; node.loading is an Event until it is done, then None."""
    if bootrecord.level() >= 2:
        node.log.warning("no components: too many boots have failed (docs/recovery.md)")
        return _forget(node)
    try:
        found = sources(node.config)
    except Fault as e:
        _tell(node, e)
        found = None
    if not found:
        return _forget(node)
    # They stay in RAM no longer than it takes to make them.
    node.config._data.pop("components", None)
    node.loading = asyncio.Event()

    async def run():
        try:
            await load(node, found)
        finally:
            node.loading.set()
            node.loading = None
            node.services.remove(service)  # with it, the RAM of the descriptions is free again
            _forget(node)

    service = node.service("components", run, once=True, layer="component")


def sources(config):
    """The descriptions, from the first place that has any: a dict, with _order where the place gives one; or None.

    Raises Fault if that place cannot be read.
    """
    found = config.get("components")
    if found:
        return found
    found = _json(ROOT + "components.json")
    if found:
        return found
    found = {}
    try:
        names = os.listdir(ROOT + "components")
    except OSError:
        names = ()
    for name in names:
        if name.endswith(".json"):
            found[name[:-5]] = _json(ROOT + "components/" + name, list if name == "_order.json" else dict)
    if found:
        return found
    try:
        import components as module
    except ImportError as e:
        if "'components'" in str(e):
            return None
        raise Fault("components.py: %s" % e)
    except Exception as e:
        raise Fault("components.py: %s: %s" % (type(e).__name__, e))
    finally:
        sys.modules.pop("components", None)
    found = getattr(module, "COMPONENTS", None)
    if found is None and not hasattr(module, "__file__"):
        return None  # an empty folder of that name
    if not isinstance(found, dict):
        raise Fault("components.py: expected COMPONENTS = {...}, got %r" % (found,))
    return found


def _json(path, kind=dict):
    try:
        text = store.read(path, _LIMIT)
        if text is None:
            return None
        data = json.loads(text)
    except ValueError as e:
        raise Fault("%s: expected JSON of at most %d bytes: %s" % (path, _LIMIT, e))
    except OSError as e:
        raise Fault("%s: cannot be read (error %s)" % (path, e.args[0]))
    if not isinstance(data, kind):
        raise Fault("%s: expected %s" % (path, "a list [...]" if kind is list else "an object {...}"))
    return data


async def load(node, found):
    """Make components. One that fails is reported, and the others go on.

    found: name -> description, and _order. Returns the names of those that failed.
    """
    if not isinstance(node.components, dict):
        node.components = {}
    order = found.get("_order")
    names = sorted(name for name in found if name != "_order")
    if order is not None:
        if isinstance(order, list) and all(isinstance(name, str) for name in order):
            for name in order:
                if name not in names:
                    _tell(node, "components._order: there is no component %s" % name)
            names = [n for n in order if n in names] + [n for n in names if n not in order]
        else:
            _tell(node, "components._order: expected a list of names")
    failed = []
    for name in names:
        await _make(node, found, name, failed, [])
    return failed


async def _make(node, found, name, failed, stack):
    # Make one component, and before it those that it refers to. Returns whether it is there.
    if name in node.components:
        return True
    if name in failed:
        return False
    topics, services = len(node.topics), len(node.services)
    path = "components." + name
    parts = ()
    try:
        if name in stack:
            raise Fault("%s: %s refer to each other in a circle" % (path, ", ".join(stack)))
        spec = found[name]
        _check(path, spec)
        for other in _names(spec, found):
            if other != name and not await _make(node, found, other, failed, stack + [name]):
                if name not in failed:  # it may be in the circle that has just been reported
                    raise Fault("%s: needs %s, which failed" % (path, other))
                return False
        made = _class(path, spec)
        args, options = _arguments(node, name, spec.get("constructor_args"))
        topics, services = len(node.topics), len(node.services)
        components.making = name
        try:
            thing = made(*args, **options)
        finally:
            components.making = None
            parts = node.topics[topics:] + node.services[services:]
        if isinstance(thing, COROUTINE):
            from .regular import forever

            thing.close()
            parts.append(forever(node, name, made, args, options))
            thing = made
        function = spec.get("init_function")
        if function:
            args, options = _arguments(node, name, spec.get("init_args"))
            result = _method(path, thing, function, "init_function")(*args, **options)
            if isinstance(result, COROUTINE):
                try:
                    await asyncio.wait_for(result, INIT_TIME)
                except asyncio.TimeoutError:
                    raise Fault("%s.init_function: %s did not end in %d s" % (path, function, INIT_TIME))
        function = spec.get("call_function_regularly")
        if function:
            from .regular import regularly

            method = _method(path, thing, function, "call_function_regularly")
            parts.append(regularly(node, name, method, spec.get("call_interval", 600)))
        node.components[name] = (thing, parts)
        return True
    except Fault as e:
        _tell(node, e)
    except Exception as e:
        node.report(path, e)
    failed.append(name)
    _remove(node, parts)
    return False


def _check(path, spec):
    if not isinstance(spec, dict):
        raise Fault("%s: expected an object {...}" % path)
    for key in spec:
        if key not in _KEYS:
            raise Fault("%s.%s: unknown key; expected %s" % (path, key, ", ".join(_KEYS)))
    for key in ("package", "component", "init_function", "call_function_regularly"):
        value = spec.get(key)
        if not (value and isinstance(value, str)) and (value is not None or key in ("package", "component")):
            raise Fault("%s.%s: expected a name, got %s" % (path, key, json.dumps(value)))
    for key in ("constructor_args", "init_args"):
        if not isinstance(spec.get(key), (list, tuple, dict, type(None))):
            raise Fault("%s.%s: expected a list [...] or an object {...}" % (path, key))
    value = spec.get("call_interval", 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise Fault("%s.call_interval: expected seconds, more than 0, got %s" % (path, json.dumps(value)))


def _class(path, spec):
    # What makes the component: a class or a function.
    package = spec["package"]
    full = "coldframe.components" + package if package[0] == "." else package
    try:
        __import__(full)
    except ImportError as e:
        text = str(e)
        if "'%s'" % full in text or any("'%s'" % full[:i] in text for i, c in enumerate(full) if c == "."):
            raise Fault("%s.package: there is no module %s" % (path, full))
        raise
    made = getattr(sys.modules[full], spec["component"], None)
    if not callable(made):
        raise Fault("%s.component: %s has no %s that makes one" % (path, full, spec["component"]))
    return made


def _method(path, thing, name, key):
    found = getattr(thing, name, None)
    if not callable(found):
        raise Fault("%s.%s: the component has no function %s" % (path, key, name))
    return found


def _names(value, found):
    # The names of components that a description refers to.
    names = []
    if isinstance(value, str):
        if value in found and value != "_order":
            names.append(value)
    elif isinstance(value, dict):
        # Of the description itself only the arguments; of arguments, all.
        whole = "package" not in value or "component" not in value
        for key in sorted(value):
            if whole or key in ("constructor_args", "init_args"):
                names.extend(_names(value[key], found))
    elif isinstance(value, (list, tuple)):
        for item in value:
            names.extend(_names(item, found))
    return names


def _arguments(node, name, given):
    # (list, dict) for a call, with the objects in place of their names.
    given = _objects(node, name, given)
    if isinstance(given, dict):
        return (), given
    return given or (), {}


def _objects(node, name, value):
    if isinstance(value, str):
        if value != name and value in node.components:
            return node.components[value][0]
        return value[1:] if value[:1] == "=" else value
    if isinstance(value, dict):
        return {key: _objects(node, name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_objects(node, name, item) for item in value]
    return value


async def remove(node, name):
    """Take a component out of a running node, with its topics and services. KeyError if there is none of that name.

    Its stop() or deinit() is called, if it has one. Components that refer to it keep it.
    """
    thing, parts = node.components.pop(name)
    _remove(node, parts)
    stop = getattr(thing, "stop", None) or getattr(thing, "deinit", None)
    if stop:
        try:
            result = stop()
            if isinstance(result, COROUTINE):
                await asyncio.wait_for(result, INIT_TIME)
        except Exception as e:
            node.report("components." + name, e)


def _remove(node, parts):
    for part in parts:
        if part in node.topics:
            node.remove(part)
        elif part in node.services:
            node.services.remove(part)
            if part.task:
                part.task.cancel()


def _tell(node, text):
    text = str(text)
    node.log.error(text)
    node._error(text)


def _forget(node):
    # What has only functions that are needed no more, and the packages that have nothing of their own.
    for name in ("loader", "machine.i2c", "machine.pin", "machine", "switches", "sensors"):
        coldframe.forget("components." + name)
    if not node.components:
        coldframe.forget("components")
