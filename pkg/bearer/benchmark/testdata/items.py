# The API of the comparison over HTTP: FastAPI with python-jose, its key set read once.
#   KEYS='{"keys":[...]}' ALG=RS256 ISSUER=... AUDIENCE=... uvicorn items:app
import json
import os

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jose import JWTError, jwt

KEYS, ALG = json.loads(os.environ["KEYS"]), os.environ["ALG"]
ISSUER, AUDIENCE = os.environ["ISSUER"], os.environ["AUDIENCE"]
app = FastAPI()
bearer = HTTPBearer(auto_error=False)


def needs(scope):
    def check(credentials: HTTPAuthorizationCredentials = Depends(bearer)):
        if credentials is None:
            raise HTTPException(401)
        try:
            claims = jwt.decode(credentials.credentials, KEYS, algorithms=[ALG], audience=AUDIENCE, issuer=ISSUER)
        except JWTError:
            raise HTTPException(401)
        if scope not in claims.get("scope", "").split():
            raise HTTPException(403)
        return claims

    return Depends(check)


@app.get("/api/items")
def list_items(claims=needs("items:read")):
    return [{"id": 1, "name": "Widget"}]
