# The API of items.py with the checks that it lacks, which leaves out what the request header X-Bug says. Without it, it is
# the hardened twin.
#   OAUTH_ISSUER=http://127.0.0.1:9000 OAUTH_AUDIENCE=http://127.0.0.1:8000 uvicorn planted:app
import base64
import hashlib
import hmac
import json
import traceback

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from jose import jwk, jwt

from items import AUDIENCE, ISSUER, Item, fetch_keys, items
from items import verify as verify_as_documented

app = FastAPI()

# The bugs that are options of python-jose, and those whose comparison of the issuer is another.
OPTIONS = {
    "any-audience": {"verify_aud": False},
    "audience-inside": {"verify_aud": False},
    "id-token": {"verify_aud": False, "verify_at_hash": False},
    "no-expiry-check": {"verify_exp": False},
    "no-nbf-check": {"verify_nbf": False},
    "leeway": {"leeway": 3600},
    "leeway-10m": {"leeway": 600},
    "leeway-5m": {"leeway": 300},  # not a bug: what some libraries allow by default
}
OTHER_ISSUER = ("any-issuer", "issuer-prefix", "issuer-optional", "issuer-slash")


class Refusal(Exception):
    def __init__(self, status, code=""):
        self.status, self.code = status, code


@app.exception_handler(Refusal)
def refuse(request, refusal):
    bug, status, headers = request.headers.get("x-bug", ""), refusal.status, {}
    if bug == "403-for-401" and status == 401:
        status = 403
    if bug == "401-for-403" and status == 403:
        status = 401
    if bug != "no-challenge":
        headers["WWW-Authenticate"] = f'Bearer error="{refusal.code}"' if refusal.code else "Bearer"
    if bug == "traceback":
        return PlainTextResponse("".join(traceback.format_exception(type(refusal), refusal, refusal.__traceback__)), status, headers)
    return JSONResponse({"error": refusal.code}, status, headers)


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def confused(raw, key):
    """Verifies HS256 with the public key as the secret."""
    head, signature = raw.rsplit(".", 1)
    want = hmac.new(jwk.construct(key, "ES256").to_pem(), head.encode(), hashlib.sha256).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(want).rstrip(b"=").decode(), signature)


def key_of(header, bug):
    if bug == "jwk-header" and "jwk" in header:
        return header["jwk"]
    for key in fetch_keys()["keys"]:
        if key["kid"] == header.get("kid"):
            return key
    return None


def once(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("duplicate member")
    return dict(pairs)


def decode(raw, bug):
    """The claims of a token whose signature is right, or what the bug takes for it."""
    header = jwt.get_unverified_header(raw)
    if bug == "no-signature-check" or bug == "alg-none" and header["alg"] == "none":
        return jwt.get_unverified_claims(raw)
    if bug == "confusion" and header["alg"] == "HS256" and confused(raw, key_of(header, bug)):
        return jwt.get_unverified_claims(raw)
    if bug == "unknown-kid" and key_of(header, bug) is None:
        return jwt.get_unverified_claims(raw)
    if bug in OPTIONS or bug in OTHER_ISSUER or bug == "jwk-header":
        issuer = None if bug in OTHER_ISSUER else ISSUER
        return jwt.decode(raw, key_of(header, bug), algorithms=["ES256"], audience=AUDIENCE, issuer=issuer, options=OPTIONS.get(bug))
    return verify_as_documented(raw, fetch_keys())


def verify(raw, bug):
    header, claims = jwt.get_unverified_header(raw), decode(raw, bug)
    if bug == "issuer-prefix" and not claims["iss"].startswith(ISSUER):
        raise ValueError("iss")
    if bug == "issuer-slash" and claims["iss"].rstrip("/") != ISSUER:
        raise ValueError("iss")
    if bug == "issuer-optional" and claims.get("iss", ISSUER) != ISSUER:
        raise ValueError("iss")
    if bug == "audience-inside" and AUDIENCE not in str(claims["aud"]):
        raise ValueError("aud")
    if bug not in ("any-audience", "audience-optional", "id-token") and not claims.get("aud"):
        raise ValueError("aud")
    if bug != "expiry-optional" and type(claims.get("exp")) is not int and not (bug == "expiry-text" and "exp" in claims):
        raise ValueError("exp")
    if bug != "crit" and "crit" in header or bug != "cnf" and "cnf" in claims:
        raise ValueError("crit or cnf")
    if bug != "id-token" and header.get("typ") != "at+jwt":
        raise ValueError("typ")
    json.loads(base64.urlsafe_b64decode(raw.split(".")[1] + "==="), object_pairs_hook=once)
    if bug == "member-case":
        claims = {name.lower(): value for name, value in claims.items()}
    elif "SCOPE" in claims:
        raise ValueError("SCOPE")
    return claims


def allowed(claims, scope, bug):
    granted = claims.get("scope", "")
    if bug == "scope-inside" and scope in granted:
        return True
    if bug == "any-scope" and granted:
        return True
    if bug == "scope-text-only" and not isinstance(granted, str):
        return False
    granted = granted.split() if isinstance(granted, str) else granted
    if bug == "permissions":
        granted = granted + claims.get("permissions", [])
    return scope in granted


def needs(scope):
    def check(request: Request):
        bug, fields = request.headers.get("x-bug", ""), request.headers.getlist("authorization")
        if bug == "query" and "access_token" in request.query_params:
            fields = ["Bearer " + request.query_params["access_token"]]
        if bug == "override-open" and request.headers.get("x-http-method-override") == "OPTIONS":
            return {}
        if not fields:
            if bug == "open":
                return {}
            raise Refusal(401)
        if len(fields) > 1 and bug != "first-of-two":
            raise Refusal(400, "invalid_request")
        scheme, _, raw = fields[0].partition(" ")
        if bug == "no-scheme" and not raw:
            scheme, raw = "Bearer", scheme
        if (scheme if bug == "scheme-case" else scheme.title()) != "Bearer" and bug != "any-scheme":
            raise Refusal(401)
        if bug == "crash":
            part(raw.split(".")[1])
        try:
            claims = verify(raw, bug)
        except Exception:
            raise Refusal(401, "invalid_token")
        if bug == "no-scope-check" or bug == "no-scope-check-on-post" and request.method == "POST":
            return claims
        if not allowed(claims, scope, bug):
            raise Refusal(403, "insufficient_scope")
        return claims

    return Depends(check)


@app.get("/api/items")
def list_items(claims=needs("items:read")):
    return items


@app.post("/api/items", status_code=201)
def add_item(item: Item, claims=needs("items:write")):
    items.append(item.dict())
    return item


@app.get("/api/count")
def count():
    return len(items)


@app.head("/api/items")
def head_items(request: Request):
    if request.headers.get("x-bug") != "head-open":
        raise Refusal(401)


@app.get("/api/items/")
def list_items_slash(request: Request):
    if request.headers.get("x-bug") != "slash-open":
        raise Refusal(401)
    return items
