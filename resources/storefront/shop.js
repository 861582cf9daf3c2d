/* Comfort on top of pages that work without it: stepper and total, countdown, turning the payment page, copying keys.
   No dependency, no storage, no other origin. Every element it acts on says so with a data- attribute. */
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  // An error summary is read first.
  one("[data-focus]")?.focus();

  // Detail page: quantity stepper and a live total. Prices are integers of 1/10000 yuan, as on the server.
  const order = one("[data-order]");
  const quantity = order && one("#quantity", order);
  if (quantity) {
    const total = one("[data-total]", order);
    const steps = all("[data-step]", order);
    const money = (fen) => {
      const whole = String(Math.floor(fen / 100)).replace(/\B(?=(\d{3})+$)/g, ",");
      return { whole, part: "." + String(fen % 100).padStart(2, "0") };
    };
    const show = () => {
      const sku = one("[name=sku]:checked", order);
      if (!sku) return;
      const most = Number(sku.dataset.most);
      const count = /^\d+$/.test(quantity.value) ? Number(quantity.value) : 0;
      for (const button of steps) {
        const next = count + Number(button.dataset.step);
        button.disabled = next < 1 || next > most;
      }
      const known = count >= 1 && count <= most;
      total.hidden = !known;
      if (!known) return;
      const { whole, part } = money(Math.floor((Number(sku.dataset.unit) * count + 50) / 100));
      const price = document.createElement("span");
      const sign = document.createElement("i");
      const cents = document.createElement("small");
      price.className = "price";
      sign.textContent = "¥";
      cents.textContent = part;
      price.append(sign, whole, cents);
      total.replaceChildren(price);
    };
    for (const button of steps) {
      button.hidden = false;
      button.addEventListener("click", () => {
        quantity.value = (Number(quantity.value) || 0) + Number(button.dataset.step);
        show();
      });
    }
    order.addEventListener("input", show);
    addEventListener("pageshow", show);
    show();
  }

  // An order is submitted once; coming back with the browser's back button makes the form usable again.
  for (const form of all("[data-once]")) {
    const button = one("[data-busy]", form);
    const words = button.textContent;
    let sent = false;
    form.addEventListener("submit", (event) => {
      if (sent) return event.preventDefault();
      sent = true;
      button.setAttribute("aria-disabled", "true");
      button.textContent = button.dataset.busy;
    });
    addEventListener("pageshow", () => {
      sent = false;
      button.removeAttribute("aria-disabled");
      button.textContent = words;
    });
  }

  // Photographs leave the phone smaller, and without the place that it writes into them. What cannot be drawn here goes
  // as it is: our server judges it.
  for (const field of all("[data-longest]")) {
    const longest = Number(field.dataset.longest);
    let busy = null;
    const smaller = async (file) => {
      const image = await createImageBitmap(file);
      const scale = Math.min(1, longest / Math.max(image.width, image.height));
      const canvas = document.createElement("canvas");
      canvas.width = Math.round(image.width * scale);
      canvas.height = Math.round(image.height * scale);
      const pen = canvas.getContext("2d");
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      const drawn = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
      return new File([drawn], "photo.jpg", { type: "image/jpeg" });
    };
    const shrink = async () => {
      try {
        const files = new DataTransfer();
        for (const file of field.files) files.items.add(await smaller(file));
        field.files = files.files;
      } catch {
        // An old browser, or no image.
      }
      busy = null;
    };
    field.addEventListener("change", () => (busy = shrink()));
    const hold = (event) => {
      if (!busy) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      const by = event.submitter;
      busy.then(() => field.form.requestSubmit(by));
    };
    field.form.addEventListener("submit", hold, true);
  }

  // Countdown from the server's seconds, so that a wrong clock on the phone does not matter. Not a live region.
  for (const place of all("[data-countdown]")) {
    const end = performance.now() + Number(place.dataset.countdown) * 1000;
    const tick = () => {
      const left = Math.max(0, Math.round((end - performance.now()) / 1000));
      one("b", place).textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (left) setTimeout(tick, 500);
    };
    place.hidden = false;
    tick();
  }

  // Waiting page: our own server tells at once when there is something new, where streams pass; and is asked every two
  // seconds, later less often.
  const waiting = one("[data-poll]");
  if (waiting) {
    const { poll, seen, ask, events } = waiting.dataset;
    const slow = "slow" in waiting.dataset;
    const most = Number(waiting.dataset.minutes || Infinity) * 60000;
    const hint = one("[data-hint]");
    const began = Date.now();
    let asked = began - 7000;
    let timer = 0;
    const turned = (now) => now !== seen && !leaving && (location.replace(location.pathname), true);
    // A page that is being left must not turn: what it is left for would be broken off.
    let leaving = 0;
    addEventListener("beforeunload", () => {
      clearTimeout(leaving);
      leaving = setTimeout(() => (leaving = 0), 15000);
    });
    // Browsers allow few connections to one host: a page that nobody sees gives its own back.
    let source;
    const listen = () => {
      source?.close();
      if (!events || document.hidden) return;
      source = new EventSource(events);
      source.onmessage = (event) => turned(event.data);
    };
    listen();
    addEventListener("pagehide", () => source?.close());
    document.addEventListener("visibilitychange", listen);
    const look = async () => {
      clearTimeout(timer);
      const waited = Date.now() - began;
      if (waited > most) return;
      try {
        // The channel was silent when the payment was opened: our server tries again now and then.
        if (ask && Date.now() - asked > 10000) {
          asked = Date.now();
          await fetch(ask, { method: "POST", redirect: "manual" });
        }
        const answer = await fetch(poll, { cache: "no-store", headers: { Accept: "application/json" } });
        if (answer.ok && turned((await answer.json()).seen)) return;
      } catch {
        // No network for a moment: the next look finds out.
      }
      if (hint && waited > 60000) hint.textContent = hint.dataset.after;
      timer = setTimeout(look, slow ? 15000 : waited > 60000 || document.hidden ? 5000 : 2000);
    };
    timer = setTimeout(look, slow ? 15000 : 1000);
    // Back from the payment app: our server asks the channel at once, and the page says so.
    let left = "";
    for (const link of all("a[data-back]")) link.addEventListener("click", () => (left = link.dataset.back));
    const came = () => (left ? location.assign(left) : look());
    document.addEventListener("visibilitychange", () => document.hidden || came());
    addEventListener("pageshow", (event) => event.persisted && (listen(), came()));
  }

  // Inside WeChat, which says who pays: there by itself, once. Coming back with the back button stays here.
  const go = one("[data-go]");
  if (go) {
    history.replaceState(null, "", location.pathname);
    location.assign(go.href);
  }

  // Inside WeChat its own sheet pays. What it says proves nothing: it only makes us ask.
  for (const button of all("[data-invoke]")) {
    const said = one("[data-sheet]");
    const tell = (words) => {
      button.removeAttribute("aria-disabled");
      said.hidden = false;
      said.textContent = words;
    };
    const pay = () =>
      WeixinJSBridge.invoke("getBrandWCPayRequest", JSON.parse(button.dataset.invoke), (answer) => {
        const outcome = answer.err_msg.split(":").pop();
        if (outcome === "ok") location.assign(button.dataset.back);
        else tell(outcome === "cancel" ? said.dataset.sheet : said.dataset.failed);
      });
    button.hidden = false;
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true");
      said.hidden = false;
      said.textContent = said.dataset.opening;
      if (window.WeixinJSBridge) return pay();
      // WeChat puts its bridge in when it likes; where it never comes the buyer must not wait for it.
      const timer = setTimeout(() => {
        document.removeEventListener("WeixinJSBridgeReady", late);
        tell(said.dataset.failed);
      }, 3000);
      const late = () => (clearTimeout(timer), pay());
      document.addEventListener("WeixinJSBridgeReady", late, { once: true });
    });
  }

  // Keys: copied raw, with feedback that stays. Where the clipboard is not allowed the key is selected instead.
  const told = one("[data-told]");
  if (told) {
    const copied = new Set();
    const buttons = all("[data-key] [data-copy]");
    const select = (node) => {
      const range = document.createRange();
      range.selectNodeContents(node);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    };
    const byHand = (text) => {
      const field = document.createElement("textarea");
      field.value = text;
      field.readOnly = true;
      field.className = "unseen";
      document.body.append(field);
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      return done;
    };
    const put = async (text) => {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        return byHand(text);
      }
    };
    const count = (button) =>
      buttons.length > 1 && copied.has(button)
        ? told.dataset.count.replace("{done}", copied.size).replace("{all}", buttons.length)
        : told.dataset.copied;
    const mark = (button) => {
      if (buttons.includes(button)) copied.add(button);
      button.classList.add("done");
      button.textContent = "✓ " + told.dataset.copied;
    };
    for (const button of all("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const node = document.getElementById(button.dataset.copy);
        if (await put(node.textContent)) {
          mark(button);
          told.textContent = count(button);
        } else {
          select(node);
          told.textContent = told.dataset.byHand;
        }
        button.focus();
      });
    }
    const everything = one("[data-copy-all]");
    if (everything) everything.hidden = false;
    everything?.addEventListener("click", async () => {
      const lines = all("[data-key]").map((key) => all("code", key).map((code) => code.textContent).join("\t"));
      const done = await put(lines.join("\n"));
      if (done) buttons.forEach(mark);
      else select(one("[data-keys] ol"));
      told.textContent = done ? everything.dataset.done : told.dataset.byHand;
      everything.focus();
    });
  }
})();
