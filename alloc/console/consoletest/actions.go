package consoletest

// Live waits until the live numbers arrive.
func (b *Tab) Live() {
	b.t.Helper()
	b.UntilState("#live-state", "live")
	b.Until("a first sample", `document.querySelector("#tile-connections").innerText !== "–"`)
}

// Become connects as a web device of user and waits until it is bound.
func (b *Tab) Become(user, tags string) {
	b.t.Helper()
	b.Until("an address", `document.querySelector("#device-url").value !== ""`)
	b.Fill("#device-user", user)
	b.Fill("#device-tags", tags)
	b.Click("#device-connect")
	b.UntilState("#device-state", "bound")
}

// Send sends a push to a user with an ack mode: none, auto or biz.
func (b *Tab) Send(user, content, ack string) {
	b.t.Helper()
	b.Click(`label[for="push-target-user"]`)
	b.Fill("#push-user", user)
	b.Fill("#push-content", content)
	b.Click(`label[for="push-ack-` + ack + `"]`)
	b.Click("#push-send")
}

// UntilOutcome waits until the message on show ended as outcome and returns its id.
func (b *Tab) UntilOutcome(outcome string) string {
	b.t.Helper()
	b.Until("outcome "+outcome, `!document.querySelector("#message").hidden && document.querySelector("#message-outcome").dataset.outcome === `+quote(outcome))
	return b.Text("#message-id")
}

// UntilPush waits until a push with this text is in the device's list.
func (b *Tab) UntilPush(content string) {
	b.t.Helper()
	b.Until("push "+content, `[...document.querySelectorAll('[data-testid="device-push"] pre')].some(e => e.innerText.includes(`+quote(content)+`))`)
}

// Acknowledge presses the newest Ack button.
func (b *Tab) Acknowledge() {
	b.t.Helper()
	b.Click(`[data-testid="device-ack"]`)
}

// Confirm answers the dialog with yes.
func (b *Tab) Confirm() {
	b.t.Helper()
	b.Until("a dialog", `document.querySelector("#confirm").open`)
	b.Click("#confirm-yes")
	b.Until("no dialog", `!document.querySelector("#confirm").open`)
}

// Look looks a user up and waits for the answer.
func (b *Tab) Look(user string) {
	b.t.Helper()
	b.Fill("#user-id", user)
	b.Click("#user-look")
	b.Until("the devices of "+user, `document.querySelector("#user-name").textContent === `+quote(user))
}
