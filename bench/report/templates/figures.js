// Runs as a module with vegaEmbed in scope. Draws every figure of the page, one after another, and lets legends switch.
const embed = async (figure) => {
  const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const target = figure.querySelector(".chart");
  const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, tooltip: { theme: "page" } };
  const { view } = await vegaEmbed(target, spec, options);
  const svg = target.querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", spec.description);
  const hidden = new Set();
  for (const button of figure.querySelectorAll(".legend button")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const name = button.dataset.name;
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      view.signal("hidden", [...hidden]).runAsync();
    });
  }
  figure.dataset.drawn = "yes";
};

for (const figure of document.querySelectorAll("figure.live")) {
  await embed(figure);
  await new Promise((done) => setTimeout(done));
}
document.documentElement.dataset.figures = "drawn";
