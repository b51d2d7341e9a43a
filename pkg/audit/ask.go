package audit

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// ask sends all requests of one operation, one after the other.
func (a *Audit) ask(ctx context.Context, x *asking) {
	if reason, param := x.op.missing(a.config.Unsafe); reason != "" {
		x.stop, x.missingParam = inconclusive("%s", reason), param
		return
	}
	if x.op.Access != Protected {
		for _, cell := range x.cells {
			a.answer(ctx, x, cell)
		}
		return
	}
	if !a.controls(ctx, x) {
		return
	}
	for _, cell := range x.cells {
		if cell.c.Group == GroupState || cell.answer != nil || ctx.Err() != nil {
			continue
		}
		if cell.c.Group == GroupRoute && !x.seen.Control.isSuccess() {
			cell.lacks = notApplicable
			continue
		}
		a.answer(ctx, x, cell)
		if cell.c.Name == "bad-signature" {
			x.seen.Spoiled = cell.answer
		}
	}
	a.controlAgain(ctx, x)
}

// notApplicable marks a case that does not apply to the operation.
const notApplicable = "not applicable"

// controls sends the valid request and the one without a token, and reports
// whether to continue.
func (a *Audit) controls(ctx context.Context, x *asking) bool {
	good, none := &cell{c: caseNamed("good")}, &cell{c: caseNamed("no-token")}
	for _, cell := range x.cells {
		switch cell.c.Name {
		case "good":
			good = cell
		case "no-token":
			none = cell
		}
	}
	isUnsafe := !x.op.IsSafe() && a.config.Unsafe == Dry
	if isUnsafe { // first without a token: if that is accepted, nothing more is sent
		a.answer(ctx, x, none)
		if x.seen.Anonymous = none.answer; none.answer.Status != http.StatusUnauthorized {
			x.stop = stopDry(none.answer)
			return false
		}
	}
	a.answer(ctx, x, good)
	x.seen.Control = good.answer
	if good.lacks != "" {
		x.stop = inconclusive("%s", good.lacks)
		return false
	}
	if isUnsafe && !slices.Contains([]int{400, 404, 409, 415, 422}, good.answer.Status) && !isRefused(good.answer) {
		x.stop = inconclusive("unexpected response to the invalid request with a valid token: %s, so nothing more is sent", describe(good.answer))
		return false
	}
	if !isUnsafe {
		a.answer(ctx, x, none)
		x.seen.Anonymous = none.answer
	}
	if o, ok := classifyControl(x.seen.Control, x.seen.Anonymous); !ok {
		x.stop = o
		return false
	}
	if x.seen.Control.Status == http.StatusNotFound && !x.op.hasObject() {
		x.stop = inconclusive("404 with a valid token, and no object is in the path: the API does not know the operation")
		return false
	}
	// See passedAuthentication: it needs the response to a bad signature, also if that
	// case is not selected.
	if !slices.ContainsFunc(x.cells, func(cell *cell) bool { return cell.c.Name == "bad-signature" }) {
		spoiled := &cell{c: caseNamed("bad-signature")}
		if a.answer(ctx, x, spoiled); spoiled.lacks == "" {
			x.seen.Spoiled = spoiled.answer
		}
	}
	return true
}

// stopDry describes a response to a request without a token that is not a 401.
func stopDry(r *Answer) Outcome {
	if r.isSuccess() && r.Status != http.StatusOK {
		return Outcome{Fail, caseNamed("no-token").ID, describe(r) + " without a token"}
	}
	return inconclusive("response to the invalid request without a token: expected 401, got %s, so nothing more is sent", describe(r))
}

func isRefused(r *Answer) bool {
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden
}

// controlAgain repeats the valid request, unless it changes data.
func (a *Audit) controlAgain(ctx context.Context, x *asking) {
	if !x.op.IsSafe() && a.config.Unsafe == Real || ctx.Err() != nil {
		return
	}
	again := &cell{c: caseNamed("good")}
	a.answer(ctx, x, again)
	if again.lacks == "" && !again.answer.isLike(x.seen.Control) {
		x.stop = inconclusive("the valid request was answered differently at the end: %s, and %d at the beginning%s", describe(again.answer), x.seen.Control.Status, x.sinceWhen())
	}
}

// sinceWhen returns a text with the first case that got no response, for example
// because it crashed the API, or "" if all got one.
func (x *asking) sinceWhen() string {
	for _, cell := range x.cells {
		if cell.answer != nil && cell.answer.Err != nil && cell.lacks == "" {
			return "; the first case without an answer was " + cell.c.Name
		}
	}
	return ""
}

// answer sends the request of a cell and stores the response.
func (a *Audit) answer(ctx context.Context, x *asking, cell *cell) {
	if cell.c.Token != "" || cell.c.Needs > NeedToken {
		if cell.lacks = a.config.Tokens.Lacks(cell.c, x.op); cell.lacks != "" {
			cell.answer = noAnswer(nil)
			return
		}
	}
	raw := ""
	if cell.c.Token != "" {
		var err error
		if raw, err = a.config.Tokens.Token(ctx, cell.c.Token, x.op); err != nil {
			cell.lacks, cell.answer = err.Error(), noAnswer(err)
			return
		}
	}
	a.answerWith(ctx, x, cell, raw)
}

func (a *Audit) answerWith(ctx context.Context, x *asking, cell *cell, raw string) {
	m := x.op.message(a.config.Target, a.config.Header, a.config.Unsafe)
	cell.c.apply(m, raw)
	cell.token = shown(raw)
	signer, _ := a.config.Tokens.(*Signer)
	isTrap := cell.c.Name == "jku-header" && signer != nil
	before := 0
	if isTrap {
		before = signer.trap().Fetched()
	}
	cell.answer = a.send(ctx, m).without(raw)
	cell.fetched = isTrap && signer.trap().Fetched() > before
	if a.config.Observe != nil {
		a.watch.Lock()
		defer a.watch.Unlock()
		a.config.Observe(Exchange{x.op.Name(), cell.c.Name, m.method, removeToken(m.url), cell.token, cell.answer})
	}
}

// askState tests the API while the issuer's state changes.
func (a *Audit) askState(ctx context.Context, x *asking) {
	signer, _ := a.config.Tokens.(*Signer)
	for _, cell := range x.cells {
		if cell.c.Group != GroupState || x.stop.Result != "" || ctx.Err() != nil {
			continue
		}
		if signer == nil || signer.Own == nil {
			cell.lacks = "needs control over the issuer"
			continue
		}
		a.changeState(ctx, x, cell, signer)
	}
}

func (a *Audit) changeState(ctx context.Context, x *asking, cell *cell, signer *Signer) {
	if cell.c.Name == "rotated-in" {
		if err := signer.Own.Rotate(); err != nil {
			cell.lacks = err.Error()
			return
		}
	}
	raw, err := signer.lasting(x.op, a.config.Rotation)
	if err != nil {
		cell.lacks = err.Error()
		return
	}
	accepted := func(r *Answer) bool { return r.isLike(x.seen.Control) }
	refused := func(r *Answer) bool { return !r.isUnusable() && !r.isLike(x.seen.Control) }
	switch cell.c.Name {
	case "revoked":
		signer.Own.Revoke(raw)
		a.answerWith(ctx, x, cell, raw)
	case "keys-unavailable":
		signer.Own.SetDown(true)
		a.answerWith(ctx, x, cell, raw)
		signer.Own.SetDown(false)
	case "rotated-in":
		a.until(ctx, x, cell, raw, accepted)
	case "rotated-out":
		if err := signer.Own.Rotate(); err != nil {
			cell.lacks = err.Error()
			return
		}
		signer.Own.Retire()
		a.until(ctx, x, cell, raw, refused)
	}
}

// until repeats the request until the response is as expected or the configured
// time is over.
func (a *Audit) until(ctx context.Context, x *asking, cell *cell, raw string, done func(*Answer) bool) {
	const steps = 70
	for range steps + 1 {
		a.answerWith(ctx, x, cell, raw)
		if done(cell.answer) || a.config.Wait(ctx, max(a.config.Rotation/steps, time.Millisecond)) != nil {
			return
		}
	}
}
