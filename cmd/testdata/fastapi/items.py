# An API that verifies its tokens itself, with python-jose: signature, issuer, audience, expiry and scope.
#   OAUTH_ISSUER=http://127.0.0.1:9000 OAUTH_AUDIENCE=http://127.0.0.1:9001 uvicorn items:app --port 8000
import json
import os
import time
import urllib.request

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jose import JWTError, jwt
from pydantic import BaseModel

ISSUER, AUDIENCE = os.environ["OAUTH_ISSUER"], os.environ["OAUTH_AUDIENCE"]
app = FastAPI()
items = [{"id": 1, "name": "Widget"}]
key_set, fetched = {"keys": []}, float("-inf")


class Item(BaseModel):
    id: int
    name: str


def fetch_keys():
    try:
        with urllib.request.urlopen(ISSUER + "/jwks", timeout=5) as response:
            return json.load(response)
    except OSError:
        raise HTTPException(503, "the issuer's keys are unavailable")


def keys_for(raw):
    """The issuer's keys, fetched again for an unknown key id, at most every 10 seconds."""
    global key_set, fetched
    kid = jwt.get_unverified_header(raw).get("kid")
    if kid not in [key.get("kid") for key in key_set["keys"]] and time.monotonic() > fetched + 10:
        key_set, fetched = fetch_keys(), time.monotonic()
    return key_set


def verify(raw, keys=None):
    return jwt.decode(raw, keys or keys_for(raw), algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)


def needs(scope):
    def check(credentials: HTTPAuthorizationCredentials = Depends(HTTPBearer(auto_error=False))):
        if credentials is None:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        try:
            claims = verify(credentials.credentials)
        except JWTError as error:
            raise HTTPException(401, str(error), headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        if scope not in claims.get("scope", "").split():
            raise HTTPException(403, headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'})
        return claims

    return Depends(check)


@app.get("/api/items")
def list_items(claims=needs("items:read")):
    return items


@app.post("/api/items", status_code=201)
def add_item(item: Item, claims=needs("items:write")):
    items.append(item.dict())
    return item


@app.delete("/api/users/{user}")
def delete_user(user: int, claims=needs("users:delete")):
    return {"deleted": user, "by": claims["sub"]}
