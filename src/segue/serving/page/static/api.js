// Requests to the service that the page came from, with the token of this tab if the service needs one.

const KEY = "segue-token";

export class Problem extends Error {
  constructor(status, detail, errors = [], kind = "") {
    super([detail, ...errors.map((one) => `${one.pointer} ${one.detail}`)].join("; "));
    this.status = status;
    this.errors = errors;
    this.kind = kind;
  }
}

export function token() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

let asking = null;

// Ask for a token once, however many requests were refused.
export function askForToken(reason = "") {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const input = document.getElementById("token-input");
    document.getElementById("token-error").textContent = reason;
    document.getElementById("token-button").hidden = false;
    document.getElementById("token-cancel").onclick = () => dialog.close();
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = dialog.returnValue === "save" ? input.value.trim() : "";
        if (given) sessionStorage.setItem(KEY, given);
        resolve(given !== "");
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

async function send(path, options) {
  const headers = { ...options.headers };
  const sent = token();
  if (sent) headers.authorization = `Bearer ${sent}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer.");
  }
  if (answer.status === 401) {
    const refused = token() === sent && sent !== "";
    if (token() !== sent || (await askForToken(refused ? "This token is not known." : ""))) return send(path, options);
  }
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, problem.detail ?? `The service answered ${answer.status}.`, problem.errors, problem.type);
  }
  return answer;
}

function address(path, query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export async function get(path, query, signal) {
  return (await send(address(path, query), { signal })).json();
}

export async function bytes(path, query, signal) {
  return (await send(address(path, query), { signal })).arrayBuffer();
}

export async function post(path, body, signal) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal };
  return (await send(path, options)).json();
}
