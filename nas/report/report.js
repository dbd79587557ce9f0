// What a reader may do with the report: sort its tables, point at networks, pull a picture's edge.
// Without it everything is still there to be read.
"use strict";

function number(cell) {
  const text = (cell.firstChild?.textContent ?? "").replace(/[,\s]/g, "").replace("−", "-");
  const found = parseFloat(text);
  return Number.isNaN(found) ? null : found;
}

function compare(one, other, column) {
  const cells = [one.cells[column], other.cells[column]];
  const values = cells.map(number);
  if (values.every((value) => value === null)) {
    return cells[0].textContent.localeCompare(cells[1].textContent);
  }
  // What has no number stands last, whichever way the others stand.
  if (values.includes(null)) return values[0] === null ? Infinity : -Infinity;
  return values[0] - values[1];
}

function sortable(table) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    head.tabIndex = 0;
    head.title = "sort";
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      [...body.rows]
        .sort((one, other) => {
          const order = compare(one, other, column);
          return down && Number.isFinite(order) ? -order : Math.sign(order);
        })
        .forEach((row) => body.append(row));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}

function pointing() {
  const told = document.createElement("div");
  told.className = "told";
  told.hidden = true;
  document.body.append(told);
  const marks = [...document.querySelectorAll("[data-network]")];
  const choose = (name) => marks.forEach((mark) =>
    mark.classList.toggle("chosen", mark.dataset.network === name));
  marks.forEach((mark) => {
    const title = mark.querySelector("title");
    if (title) {
      const words = title.textContent;
      title.remove();
      mark.setAttribute("aria-label", words);
      mark.addEventListener("pointerenter", () => {
        told.textContent = words;
        told.hidden = false;
        const box = mark.getBoundingClientRect();
        const left = box.left + box.width / 2 - told.offsetWidth / 2;
        told.style.left = `${Math.max(8, Math.min(left, innerWidth - told.offsetWidth - 8)) + scrollX}px`;
        told.style.top = `${box.top - told.offsetHeight - 8 + scrollY}px`;
      });
      mark.addEventListener("pointerleave", () => { told.hidden = true; });
    }
    mark.addEventListener("click", () => {
      const already = mark.classList.contains("chosen");
      choose(already ? null : mark.dataset.network);
    });
  });
}

function chooser(figures, chosen, words) {
  const select = document.createElement("select");
  select.setAttribute("aria-label", words);
  figures.forEach((figure, index) => {
    const option = new Option(figure.querySelector("b").textContent, index);
    option.selected = index === chosen;
    select.append(option);
  });
  return select;
}

function slider(card) {
  const figures = [...card.querySelectorAll("figure")];
  if (figures.length < 2) return;
  const compare = document.createElement("div");
  compare.className = "compare";
  const stage = document.createElement("div");
  stage.className = "stage";
  const [under, over] = [new Image(), new Image()];
  over.className = "over";
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 100, value: 50 });
  range.setAttribute("aria-label", "where one picture ends and the other begins");
  stage.append(under, over, range);
  const choices = [chooser(figures, 0, "left"), chooser(figures, 1, "right")];
  const line = document.createElement("div");
  line.className = "choices";
  line.append(...choices);
  const show = () => {
    [over.src, under.src] = choices.map((choice) => figures[choice.value].querySelector("img").src);
    [over.alt, under.alt] = choices.map((choice) => choice.selectedOptions[0].text);
  };
  const cut = () => stage.style.setProperty("--cut", `${range.value}%`);
  choices.forEach((choice) => choice.addEventListener("change", show));
  range.addEventListener("input", cut);
  show();
  cut();
  compare.append(stage, line);
  card.querySelector(".crops").before(compare);
}

document.querySelectorAll("table").forEach(sortable);
document.querySelectorAll("section.card").forEach((card) => card.querySelector(".crops") && slider(card));
pointing();
