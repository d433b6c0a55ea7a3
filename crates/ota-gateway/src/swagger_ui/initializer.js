// Starts Swagger UI. All addresses are relative to this page, so that it works under any path prefix.
"use strict";

// Whether the API answers without a token; the gateway inserts the value.
const needsNoToken = OPEN_WITHOUT_TOKEN;

// Collapses all responses except the successful one to a line each. Fifteen problems with an example each would fill ten screens.
const shortResponses = () => ({
  wrapComponents: {
    response: (Response, system) => (props) => {
      const { createElement, useState } = system.React;
      const [opened, setOpened] = useState(false);
      if (opened || Number(props.code) < 300) {
        return createElement(Response, props);
      }
      const Markdown = system.getComponent("Markdown", true);
      const source = props.response.get("description") || "";
      return createElement(
        "tr",
        { className: "response", "data-code": props.code },
        createElement("td", { className: "response-col_status" }, props.code),
        createElement("td", { className: "response-col_description" }, createElement(Markdown, { source })),
        createElement(
          "td",
          { className: "response-col_links" },
          createElement("button", { className: "model-box-control", onClick: () => setOpened(true) }, "Show all"),
        ),
      );
    },
  },
});

// The examples in the document are of no real account. What fills the fields is read from this gateway: the names of the providers
// that the caller may see, and a job of the last list that the caller asked for.
let ready = false;
const examples = { provider: [], job_id: [] };

const fill = () => {
  const spec = ui.specSelectors.specJson().toJS();
  const parameters = spec.components.parameters;
  const { provider, job_id: job } = parameters;
  delete provider.schema.enum;
  for (const [name, values] of Object.entries(examples)) {
    delete parameters[name].example;
    if (values.length > 0) {
      parameters[name].example = values[0];
    }
  }
  if (examples.provider.length > 0) {
    provider.schema.enum = examples.provider;
  }
  job.description = "The identifier of a job; Execute `list_jobs` first, and the first job of its page is filled in here.";
  ui.specActions.updateJsonSpec(spec);
};

// The token that the browser has stored on an earlier visit, under the name that Swagger UI gives it.
const keptToken = () => {
  try {
    return JSON.parse(localStorage.getItem("authorized")).bearer.value;
  } catch {
    return undefined;
  }
};
const kept = keptToken();

const readProviders = async (token) => {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = token || needsNoToken ? await fetch("../v1/providers", { headers }).catch(() => undefined) : undefined;
  // It has expired, or the sandbox was started again. A token that the user has just given stays, and each operation says what is wrong with it.
  if (answer && answer.status === 401 && token === kept && token === lastToken) {
    ui.authActions.logoutWithPersistOption(["bearer"]);
    return;
  }
  const list = answer && answer.ok ? await answer.json() : { items: [] };
  // The user may have signed in with another token in the meantime.
  if (token === lastToken) {
    examples.provider = list.items.map((item) => item.name);
    examples.job_id = [];
    fill();
  }
};

let lastToken = null;
const followToken = () => {
  const token = ui.authSelectors.authorized().getIn(["bearer", "value"]);
  if (ready && token !== lastToken) {
    lastToken = token;
    readProviders(token);
  }
};

// Not of the list of all providers: its first job may be of another provider than the one that is chosen.
const ofOneProvider = /\/providers\/[^/]+\/jobs$/;
const noteJobs = (response) => {
  if (ready && response.ok && ofOneProvider.test(new URL(response.url).pathname)) {
    const first = ((response.obj || response.body || {}).items || [])[0];
    if (first && first.id !== examples.job_id[0]) {
      examples.job_id = [first.id];
      fill();
    }
  }
  return response;
};

const ui = SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [shortResponses],
  // Nothing is sent to another host.
  validatorUrl: null,
  persistAuthorization: true,
  tryItOutEnabled: true,
  displayOperationId: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  responseInterceptor: noteJobs,
  onComplete: () => {
    ready = true;
    ui.getStore().subscribe(followToken);
    followToken();
  },
});
