// Aedes on 127.0.0.1 for the tests: node broker.js PORT FOLDER. Its state is a LevelDB in FOLDER.
'use strict'
const net = require('net')
const aedes = require('aedes')
const { Level } = require('level')
const persistence = require('aedes-persistence-level')

const [port, folder] = process.argv.slice(2)
const db = new Level(folder, { valueEncoding: 'binary' })

db.open().then(() => {
  const broker = aedes({ persistence: persistence(db) })
  const server = net.createServer(broker.handle)
  broker.on('clientError', (client, error) => console.log(client.id, error.message))
  broker.on('connectionError', (client, error) => console.log(client.id, error.message))
  server.listen(Number(port), '127.0.0.1')
  process.on('SIGTERM', () => {
    server.close()
    broker.close(() => db.close(() => process.exit(0)))
  })
})
