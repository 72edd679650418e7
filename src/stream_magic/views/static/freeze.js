/** Whether somebody reads: a scroll or a selection holds the rows still until Esc or Newest. */
export class Freeze {
  constructor(grid, onChange) {
    this.grid = grid;
    this.onChange = onChange;
    this.isFrozen = false;
    this.isThawing = false;
    this.check = () => this.update();
    grid.node.addEventListener("scroll", this.check);
    grid.node.addEventListener("focusin", this.check);
    grid.node.addEventListener("focusout", () => setTimeout(this.check));
    document.addEventListener("selectionchange", this.check);
    grid.node.addEventListener("keydown", (event) => this.key(event));
  }

  close() {
    document.removeEventListener("selectionchange", this.check);
  }

  update() {
    if (this.isThawing) return;
    const isFrozen = this.grid.node.scrollTop > 0 || this.hasSelection() || this.hasCell();
    if (isFrozen === this.isFrozen) return;
    this.isFrozen = isFrozen;
    this.onChange();
  }

  hasSelection() {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && this.grid.table.contains(selection.anchorNode));
  }

  hasCell() {
    return this.grid.table.contains(document.activeElement);
  }

  /** Back to the newest rows. */
  thaw() {
    this.isThawing = true;
    if (this.hasSelection()) document.getSelection().removeAllRanges();
    if (this.hasCell()) document.activeElement.blur();
    this.grid.opened = null;
    this.grid.node.scrollTop = 0;
    this.isThawing = false;
    this.isFrozen = false;
    this.onChange();
  }

  key(event) {
    const cell = event.target.closest("td[role=gridcell]");
    if (event.key === "Escape") this.thaw();
    else if (cell && event.key === "Enter") this.grid.toggle(cell);
    else if (cell && event.key.startsWith("Arrow")) this.grid.move(cell, event.key);
    else if (event.key === "ArrowDown") this.grid.table.querySelector("td[role=gridcell]")?.focus();
    else if (cell && (event.ctrlKey || event.metaKey) && event.key === "c" && !this.hasSelection()) navigator.clipboard?.writeText(this.grid.value(cell));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
