// Another codec, mqtt-packet, as a witness for ours (tests/host/test_packet_oracle.py).
//
//   node packet_oracle.js FOLDER make COUNT SEED    one line of JSON per packet: {version, packet, hex}
//   node packet_oracle.js FOLDER check < LINES      the same lines, hex from our encoders: are they that packet?
//
// FOLDER has node_modules/mqtt-packet. `packet` is what both sides describe alike: cmd, the fields, and props as
// a list of [identifier, value], a value being a number, a text, {hex} for binary data, or [key, value].
'use strict'
const path = require('path')
const mqtt = require(path.join(process.argv[2], 'node_modules', 'mqtt-packet'))
const { propertiesTypes, properties: ids } = require(path.join(process.argv[2], 'node_modules', 'mqtt-packet', 'constants'))
const names = Object.fromEntries(Object.entries(ids).map(([name, id]) => [id, name]))

const ANSWERS = [31, 38]
const MAY_HAVE = { // section 2.2.2.2
  will: [24, 1, 2, 3, 8, 9, 38],
  connect: [17, 33, 39, 34, 25, 23, 38, 21, 22],
  connack: [17, 33, 36, 37, 39, 18, 34, 31, 38, 40, 41, 42, 19, 26, 28, 21, 22],
  publish: [1, 2, 35, 8, 9, 38, 11, 3],
  subscribe: [11, 38],
  unsubscribe: [38],
  puback: ANSWERS, pubrec: ANSWERS, pubrel: ANSWERS, pubcomp: ANSWERS, suback: ANSWERS, unsuback: ANSWERS,
  disconnect: [17, 31, 38, 28],
  auth: [21, 22, 31, 38]
}
const CODES = {
  connack: [0, 0, 0x80, 0x81, 0x85, 0x87, 0x9d], puback: [0, 0x10, 0x80, 0x97], pubrec: [0, 0x10, 0x87], pubrel: [0, 0x92],
  pubcomp: [0, 0x92], disconnect: [0, 4, 0x81, 0x8b, 0x9d], auth: [0, 0x18, 0x19], suback: [0, 1, 2, 0x80, 0xa2], unsuback: [0, 0x11, 0x8f]
}

let state
function below (n) { // xorshift32
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 4) % n
}
const choose = list => list[below(list.length)]
const text = () => choose(['a', 'home/greenhouse/temperature', 'å/€/🌱', 'x'.repeat(below(300) + 1), '$SYS/x', ' '])
const bytes = () => Buffer.from(Array.from({ length: below(4) ? below(20) : below(300) }, () => below(256)))

function value (id) {
  switch (propertiesTypes[names[id]]) {
    case 'byte': case 'int8': return below(2)
    case 'int16': return 1 + below(65535)
    case 'int32': return 1 + below(4294967295)
    case 'var': return choose([1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455])
    case 'binary': return { hex: bytes().toString('hex') }
    case 'pair': return [text(), choose(['', text()])]
    default: return text()
  }
}

function props (kind) {
  const list = []
  for (const id of MAY_HAVE[kind]) {
    if (below(3) === 0 || (kind === 'auth' && id === 21)) list.push([id, value(id)])
  }
  const has = id => list.some(entry => entry[0] === id)
  if (has(22) && !has(21)) list.push([21, 'method'])
  return list
}

// A packet that both versions of the standard allow, described as above.
function make (version) {
  const cmd = choose(['connect', 'connack', 'publish', 'publish', 'publish', 'puback', 'pubrec', 'pubrel', 'pubcomp',
    'subscribe', 'suback', 'unsubscribe', 'unsuback', 'pingreq', 'pingresp', 'disconnect', 'auth'].slice(0, version === 5 ? 17 : 16))
  const packet = { cmd }
  const id = () => 1 + below(65535)
  const v5 = version === 5
  if (cmd === 'connect') {
    Object.assign(packet, { client: text(), keepalive: below(65536), clean: below(2) === 1 })
    if (below(2)) {
      packet.will = { topic: text(), payload: bytes().toString('hex'), qos: below(3), retain: below(2) === 1 }
      if (v5) packet.will.props = props('will')
    }
    if (below(2)) {
      packet.user = text()
      if (below(2)) packet.password = bytes().toString('hex')
    }
  } else if (cmd === 'connack') {
    packet.code = v5 ? choose(CODES.connack) : below(6)
    packet.session = packet.code === 0 && below(2) === 1
  } else if (cmd === 'publish') {
    const qos = below(3)
    Object.assign(packet, { topic: text(), payload: bytes().toString('hex'), qos, retain: below(2) === 1, dup: qos > 0 && below(2) === 1, id: qos ? id() : 0 })
  } else if (cmd === 'subscribe') {
    packet.id = id()
    packet.topic = choose(['#', 'a/+', '+/b/#', 'å', '$share/g/a/+'])
    packet.options = v5 ? below(3) | (packet.topic[0] === '$' ? 0 : below(2) << 2) | below(2) << 3 | below(3) << 4 : below(3)
  } else if (cmd === 'unsubscribe') {
    Object.assign(packet, { id: id(), topic: choose(['#', 'a/+', 'å']) })
  } else if (cmd === 'suback' || (cmd === 'unsuback' && v5)) {
    const codes = v5 ? CODES[cmd] : [0, 1, 2, 0x80]
    packet.id = id()
    packet.codes = Array.from({ length: 1 + below(4) }, () => choose(codes))
  } else if (cmd.startsWith('pub') || cmd === 'unsuback') {
    packet.id = id()
    packet.code = v5 ? choose(CODES[cmd]) : 0
  } else if (v5 && (cmd === 'disconnect' || cmd === 'auth')) {
    packet.code = choose(CODES[cmd])
  }
  if (v5 && !cmd.startsWith('ping')) packet.props = props(cmd)
  return packet
}

function toTheirProps (list) {
  const out = {}
  for (const [id, v] of list || []) {
    const type = propertiesTypes[names[id]]
    if (type === 'pair') out.userProperties = { [v[0]]: v[1] }
    else if (type === 'binary') out[names[id]] = Buffer.from(v.hex, 'hex')
    else out[names[id]] = type === 'byte' ? v === 1 : v
  }
  return out
}

function fromTheirProps (object) {
  return Object.entries(object || {}).map(([name, v]) => {
    if (name === 'userProperties') return [38, Object.entries(v)[0]]
    if (Buffer.isBuffer(v)) return [ids[name], { hex: v.toString('hex') }]
    return [ids[name], typeof v === 'boolean' ? Number(v) : v]
  })
}

function toTheirs (p, version) {
  const out = { cmd: p.cmd, messageId: p.id, properties: version === 5 ? toTheirProps(p.props) : undefined }
  if (p.cmd === 'connect') {
    Object.assign(out, { protocolId: 'MQTT', protocolVersion: version, clientId: p.client, keepalive: p.keepalive, clean: p.clean, username: p.user })
    if (p.password !== undefined) out.password = Buffer.from(p.password, 'hex')
    if (p.will) out.will = { ...p.will, payload: Buffer.from(p.will.payload, 'hex'), properties: toTheirProps(p.will.props) }
  } else if (p.cmd === 'publish') {
    Object.assign(out, { topic: p.topic, payload: Buffer.from(p.payload, 'hex'), qos: p.qos, retain: p.retain, dup: p.dup })
  } else if (p.cmd === 'subscribe') {
    const o = p.options
    out.subscriptions = [{ topic: p.topic, qos: o & 3, nl: (o & 4) > 0, rap: (o & 8) > 0, rh: o >> 4 }]
  } else if (p.cmd === 'unsubscribe') {
    out.unsubscriptions = [p.topic]
  } else if (p.codes) {
    out.granted = p.codes
  } else {
    Object.assign(out, { returnCode: p.code, reasonCode: p.code, sessionPresent: p.session })
  }
  return out
}

function fromTheirs (t, version) {
  const p = { cmd: t.cmd }
  if (t.cmd === 'connect') {
    Object.assign(p, { client: t.clientId, keepalive: t.keepalive, clean: t.clean })
    if (t.will) {
      p.will = { topic: t.will.topic, payload: t.will.payload.toString('hex'), qos: t.will.qos, retain: t.will.retain }
      if (version === 5) p.will.props = fromTheirProps(t.will.properties)
    }
    if (t.username !== undefined) p.user = t.username.toString()
    if (t.password !== undefined) p.password = t.password.toString('hex')
  } else if (t.cmd === 'publish') {
    Object.assign(p, { topic: t.topic, payload: t.payload.toString('hex'), qos: t.qos, retain: t.retain, dup: t.dup, id: t.messageId || 0 })
  } else if (t.cmd === 'subscribe') {
    const s = t.subscriptions[0]
    Object.assign(p, { id: t.messageId, topic: s.topic, options: s.qos | (s.nl ? 4 : 0) | (s.rap ? 8 : 0) | (s.rh || 0) << 4 })
  } else if (t.cmd === 'unsubscribe') {
    Object.assign(p, { id: t.messageId, topic: t.unsubscriptions[0] })
  } else if (t.cmd === 'suback' || (t.cmd === 'unsuback' && version === 5)) {
    Object.assign(p, { id: t.messageId, codes: t.granted })
  } else if (t.cmd === 'connack') {
    Object.assign(p, { code: version === 5 ? t.reasonCode : t.returnCode, session: t.sessionPresent })
  } else if (t.messageId !== undefined) {
    Object.assign(p, { id: t.messageId, code: t.reasonCode || 0 })
  } else if (version === 5 && (t.cmd === 'disconnect' || t.cmd === 'auth')) {
    p.code = t.reasonCode || 0
  }
  if (version === 5 && !t.cmd.startsWith('ping')) p.props = fromTheirProps(t.properties)
  return p
}

// The same text for the same packet: the order of fields and properties says nothing.
function canonical (x) {
  if (Array.isArray(x) && x.length && Array.isArray(x[0])) return '[' + x.map(canonical).sort().join() + ']'
  if (Array.isArray(x)) return '[' + x.map(canonical).join() + ']'
  if (x && typeof x === 'object') return '{' + Object.keys(x).sort().map(k => k + ':' + canonical(x[k])).join() + '}'
  return JSON.stringify(x)
}

function decode (hex, version) {
  const parser = mqtt.parser({ protocolVersion: version })
  const got = []
  parser.on('packet', t => got.push(t))
  parser.on('error', error => got.push({ cmd: 'error: ' + error.message }))
  parser.parse(Buffer.from(hex, 'hex'))
  return got.length === 1 ? fromTheirs(got[0], version) : { cmd: got.length + ' packets' }
}

if (process.argv[3] === 'make') {
  state = Number(process.argv[5]) | 1
  for (let i = 0; i < Number(process.argv[4]); ++i) {
    const version = 4 + below(2)
    const packet = make(version)
    const hex = mqtt.generate(toTheirs(packet, version), { protocolVersion: version }).toString('hex')
    console.log(JSON.stringify({ version, packet, hex }))
  }
} else {
  let bad = 0
  let all = 0
  for (const line of require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    const { version, packet, hex } = JSON.parse(line)
    const got = decode(hex, version)
    ++all
    if (canonical(got) !== canonical(packet) && ++bad <= 5) {
      console.log(`MQTT ${version} ${hex}\n  theirs: ${canonical(got)}\n  ours:   ${canonical(packet)}`)
    }
  }
  console.log(`${all} packets, ${bad} different`)
  process.exit(bad ? 1 : 0)
}
