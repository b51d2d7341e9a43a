# An API without any check, to stand behind a guard. It believes who the guard says is asking.
from fastapi import FastAPI, Header

app = FastAPI()


@app.get("/api/items")
def list_items(x_auth_subject: str = Header(None), x_auth_scope: str = Header(None), authorization: str = Header(None)):
    return {"items": ["Widget"], "for": x_auth_subject, "scope": x_auth_scope, "authorization": authorization}


@app.get("/healthz")
def health():
    return "well"
