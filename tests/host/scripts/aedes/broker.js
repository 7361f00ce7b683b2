// Aedes on 127.0.0.1 for the tests: node broker.js PORT
'use strict'
const net = require('net')
const aedes = require('aedes')

const broker = aedes()
broker.on('clientError', (client, error) => console.log(client.id, error.message))
broker.on('connectionError', (client, error) => console.log(client.id, error.message))
net.createServer(broker.handle).listen(Number(process.argv[2]), '127.0.0.1')
