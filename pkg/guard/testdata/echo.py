"""An API that shows what WSGI makes of a request: identity variables and the raw target."""
import json
import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class Handler(WSGIRequestHandler):
    def get_environ(self):
        environ = super().get_environ()
        # wsgiref drops names with underscores; gunicorn and others did not always.
        for name, value in self.headers.items():
            key = "HTTP_" + "".join(c if c.isalnum() else "_" for c in name).upper()
            environ[key] = environ.get(key, value) if key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH") else value
        environ["raw.target"] = self.raw_requestline.decode("latin-1").split(" ")[1]
        return environ

    def log_message(self, *_):
        pass


def app(environ, start):
    body = json.dumps({
        "method": environ["REQUEST_METHOD"],
        "target": environ["raw.target"],
        "vars": {k: v for k, v in environ.items() if k.startswith("HTTP_")},
    }).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
server.set_app(app)
print(server.server_address[1], flush=True)
server.serve_forever()
