// A frame that stands for VS Code's notebook output, in a page of JupyterLab, which
// lends it a connection to a kernel. The widget manager is VS Code's own.
// Called with what `harness.vscode.VSCodeOutput` gives it.
async ({ files, colours, theme }) => {
  const frame = document.createElement("iframe");
  frame.style.cssText =
    "position: fixed; inset: 0; width: 100%; height: 100%; border: 0; z-index: 9999";
  // Unlike a file of the server's, such a document has the page's origin.
  frame.srcdoc = `<!doctype html><html style="${colours}">
    <body style="background: var(--vscode-editor-background);
      color: var(--vscode-foreground); font: 13px var(--vscode-font-family)"
      class="${theme}" data-vscode-theme-kind="${theme}"></body>`;
  await new Promise((loaded) => {
    frame.onload = loaded;
    document.body.append(frame);
  });
  const inside = frame.contentWindow;
  const script = frame.contentDocument.createElement("script");
  script.src = `${files}require.js`;
  await new Promise((loaded, failed) => {
    script.onload = loaded;
    script.onerror = failed;
    frame.contentDocument.body.append(script);
  });
  const bundle = await inside.eval(`import("${files}ipywidgets.js")`);
  bundle.activate();
  inside.vscIPyWidgets8.load();
  const kernel = await window.jupyterapp.serviceManager.kernels.startNew({
    name: "python3",
  });
  const errors = [];
  const loader = {
    widgetsRegisteredInRequireJs: new inside.Set(),
    // VS Code gives the address of the extension that is installed beside the kernel.
    loadWidgetScript: (name) => {
      inside.requirejs.config({ paths: { [name]: files + name } });
      return new Promise((done, failed) => inside.requirejs([name], done, failed));
    },
    successHandler: () => {},
    errorHandler: (name) => errors.push(`${name} was not loaded`),
  };
  const root = frame.contentDocument.body;
  const manager = new inside.vscIPyWidgets.WidgetManager(
    kernel,
    root,
    loader,
    () => {},
  );

  // By display id: where an output stands.
  const places = {};
  const show = async ({ data, transient }) => {
    const id = transient?.display_id ?? "";
    let node = id && places[id];
    if (!node) {
      node = frame.contentDocument.createElement("div");
      root.append(node);
      places[id] = node;
    }
    const view = data["application/vnd.jupyter.widget-view+json"];
    node.replaceChildren();
    if (view) {
      const model = await manager.get_model(view.model_id);
      await manager.display_view({}, await manager.create_view(model), { node });
    } else {
      node.innerHTML = data["text/html"] ?? data["text/plain"];
    }
  };

  window.vscode = {
    errors,
    run: async (code) => {
      const future = kernel.requestExecute({ code });
      future.onIOPub = ({ header, content }) => {
        if (/display_data$/.test(header.msg_type)) {
          show(content).catch((error) => errors.push(String(error)));
        }
      };
      return (await future.done).content.status;
    },
    interrupt: () => kernel.interrupt(),
    end: () => kernel.shutdown(),
  };
};
