// An API that shows what Node makes of a request: header fields as CGI variables and the raw target.
const http = require('http')
const server = http.createServer((req, res) => {
  const vars = {}
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    vars['HTTP_' + req.rawHeaders[i].replace(/[^A-Za-z0-9]/g, '_').toUpperCase()] = req.rawHeaders[i + 1]
  }
  req.resume()
  req.on('end', () => res.end(JSON.stringify({ method: req.method, target: req.url, vars })))
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
