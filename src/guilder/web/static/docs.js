// Renders /openapi.json. Text is only ever set as text, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];
const main = document.getElementById("main");
const index = document.getElementById("index");

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Descriptions are paragraphs with `code` and **bold**; nothing else of Markdown.
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).filter(Boolean).map((part) => {
    if (part.startsWith("`")) return make("code", { textContent: part.slice(1, -1) });
    if (part.startsWith("**")) return make("strong", { textContent: part.slice(2, -2) });
    return part;
  });
}

function prose(text) {
  return (text ?? "").split(/\n\s*\n/).filter(Boolean).map((each) => make("p", {}, ...inline(each)));
}

function resolve(api, schema) {
  if (!schema || !schema.$ref) return schema ?? {};
  return schema.$ref.slice(2).split("/").reduce((node, key) => node?.[key], api) ?? {};
}

function typeOf(api, schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((each) => typeOf(api, each)).join(" | ");
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.type === "array") return `${typeOf(api, schema.items ?? {})}[]`;
  return [schema.type, schema.format].flat().filter(Boolean).join(", ");
}

function example(api, given, depth = 0) {
  const schema = resolve(api, given);
  if (schema.examples?.length) return schema.examples[0];
  if ("example" in schema) return schema.example;
  if ("default" in schema) return schema.default;
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return example(api, choices[0], depth);
  if (depth > 5) return null;
  if (schema.type === "array") return [example(api, schema.items ?? {}, depth + 1)];
  if (schema.properties) {
    return Object.fromEntries(
      Object.entries(schema.properties)
        .filter(([name]) => (schema.required ?? []).includes(name))
        .map(([name, each]) => [name, example(api, each, depth + 1)]),
    );
  }
  return { string: "string", integer: 1, number: 1, boolean: true }[schema.type] ?? null;
}

function fields(api, given) {
  const schema = resolve(api, given);
  const rows = Object.entries(schema.properties ?? {}).map(([name, each]) =>
    make("tr", {},
      make("td", {}, make("code", { textContent: name }), (schema.required ?? []).includes(name) ? " *" : ""),
      make("td", { textContent: typeOf(api, each) }),
      make("td", {}, ...inline(each.description ?? resolve(api, each).description ?? ""))));
  return rows.length ? make("table", {}, make("tbody", {}, ...rows)) : null;
}

function parameters(api, list) {
  if (!list.length) return null;
  const rows = list.map((each) =>
    make("tr", {},
      make("td", {}, make("code", { textContent: each.name }), each.required ? " *" : ""),
      make("td", { textContent: `${each.in}, ${typeOf(api, each.schema ?? {})}` }),
      make("td", {}, ...inline(each.description ?? ""))));
  return make("div", {}, make("h4", { textContent: "Parameters" }), make("table", {}, make("tbody", {}, ...rows)));
}

function answers(api, responses) {
  const blocks = Object.entries(responses ?? {}).map(([status, given]) => {
    const response = resolve(api, given);
    const content = Object.values(response.content ?? {})[0];
    const shown = Object.entries(content?.examples ?? {}).map(([code, each]) =>
      make("pre", { textContent: `${code}\n${JSON.stringify(resolve(api, each).value, null, 2)}` }));
    if (!shown.length && content?.schema) {
      shown.push(make("pre", { textContent: JSON.stringify(example(api, content.schema), null, 2) }));
    }
    return make("details", {},
      make("summary", {}, make("code", { textContent: status }), " ", ...inline(response.description ?? "")),
      content?.schema ? fields(api, content.schema) : null, ...shown);
  });
  return make("div", {}, make("h4", { textContent: "Answers" }), ...blocks);
}

function trial(api, path, method, operation, list) {
  const inputs = new Map(list.map((each) => [each, make("input", {
    placeholder: `${each.name}${each.required ? " *" : ""}`,
    "aria-label": each.name,
    value: each.name.toLowerCase() === "idempotency-key" ? crypto.randomUUID() : "",
  })]));
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  const body = schema ? make("textarea", { "aria-label": "body", value: JSON.stringify(example(api, schema), null, 2) }) : null;
  const output = make("pre", { textContent: "" });
  const form = make("form", {}, ...inputs.values(), body, make("button", { textContent: "Send" }), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.textContent = await send(path, method, inputs, body);
  });
  return form;
}

async function send(path, method, inputs, body) {
  const query = new URLSearchParams();
  const headers = new Headers();
  const token = document.getElementById("token").value.trim();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (body) headers.set("Content-Type", "application/json");
  for (const [parameter, input] of inputs) {
    if (!input.value) continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (parameter.in === "query") query.set(parameter.name, input.value);
    else if (parameter.in === "header") headers.set(parameter.name, input.value);
  }
  try {
    const url = query.size ? `${path}?${query}` : path;
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
    const shown = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const text = await response.text();
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* Not JSON: shown as it is. */ }
    return `${response.status} ${response.statusText}\n${shown}\n\n${pretty}`;
  } catch (error) {
    return String(error);
  }
}

function operationView(api, path, method, operation) {
  const list = (operation.parameters ?? []).map((each) => resolve(api, each))
    .filter((each) => each.name.toLowerCase() !== "authorization");
  const schema = operation.requestBody?.content?.["application/json"]?.schema;
  const view = make("details", { id: operation.operationId },
    make("summary", {}, make("span", { class: `method ${method}`, textContent: method.toUpperCase() }),
      make("code", { textContent: path }), " ", make("span", { class: "soft", textContent: operation.summary ?? "" })),
    ...prose(operation.description),
    parameters(api, list),
    schema ? make("div", {}, make("h4", { textContent: "Body" }), fields(api, schema)) : null,
    answers(api, operation.responses),
    trial(api, path, method, operation, list));
  index.append(make("a", { href: `#${operation.operationId}` },
    make("span", { class: `method ${method}`, textContent: method.toUpperCase() }), path));
  return view;
}

function show(api) {
  document.title = api.info.title;
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  main.replaceChildren(...prose(api.info.description));
  const groups = new Map((api.tags ?? []).map((tag) => [tag.name, []]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((each) => each in item)) {
      const tag = item[method].tags?.[0] ?? "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, item[method]]);
    }
  }
  for (const [tag, operations] of groups) {
    if (!operations.length) continue;
    main.append(make("h2", { textContent: tag }));
    for (const each of operations) main.append(operationView(api, ...each));
  }
  openTarget();
}

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) { target.open = true; target.scrollIntoView(); }
}

window.addEventListener("hashchange", openTarget);
try {
  show(await (await fetch("/openapi.json")).json());
} catch (error) {
  main.replaceChildren(make("p", { textContent: `/openapi.json could not be loaded: ${error}` }));
}
