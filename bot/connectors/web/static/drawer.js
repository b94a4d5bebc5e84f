// The sidebar as a drawer, on screens too narrow to show it always.

export class Drawer {
  constructor() {
    this.element = document.getElementById("sidebar");
    this.opener = document.getElementById("open-menu");
    this.behind = [document.getElementById("main"), document.querySelector(".topbar")];
    this.opener.addEventListener("click", () => this.open());
    document.getElementById("close-menu").addEventListener("click", () => this.dismiss());
    document.getElementById("backdrop").addEventListener("click", () => this.dismiss());
    matchMedia("(min-width: 48rem)").addEventListener("change", () => this.close());
  }

  get isOpen() {
    return this.element.classList.contains("open");
  }

  open() {
    this.#set(true);
    document.getElementById("close-menu").focus();
  }

  close() {
    if (this.isOpen) this.#set(false);
  }

  /** Closes, and hands the focus back to the menu button. */
  dismiss() {
    this.close();
    this.opener.focus();
  }

  #set(open) {
    this.element.classList.toggle("open", open);
    this.opener.ariaExpanded = String(open);
    for (const element of this.behind) element.inert = open;
  }
}
