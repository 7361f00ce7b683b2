"""Parameters over MQTT: ./PARAMS_, ./SET_PARAM and ./SET_PARAMS."""

import json


async def message(node, topic, payload):
    """A message on one of the three (absolute).

    The answer to the second and third is on the same name with "_" behind it: "OK", or what was wrong.
    """
    params = node.params
    if topic.endswith("/PARAMS_"):
        await params.publish()
        return
    try:
        wanted = _object(payload)
        if topic.endswith("/SET_PARAM"):
            wanted = _one(wanted)
        dropped = [name for name in wanted if wanted[name] is None]
        for name in dropped:
            del wanted[name]
        try:
            if wanted:
                params.put(wanted)
        except KeyError as e:
            raise ValueError("%s: there is no such parameter" % e.args[0])
        for name in dropped:
            params.drop(name)
        answer = "OK"
    except ValueError as e:
        answer = str(e)
        node.log.warning("%s: %s", topic.rsplit("/", 1)[1], answer)
    await node.publish(topic + "_", answer)


def _object(payload):
    try:
        found = json.loads(payload)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("expected a JSON object, got %s" % repr(payload)[:40])
    return found


def _one(found):
    for name, value in (("key", "value"), ("topic", "payload")):
        if name in found and value in found and isinstance(found[name], str):
            return {found[name]: found[value]}
    raise ValueError('expected {"key": NAME, "value": VALUE}')
