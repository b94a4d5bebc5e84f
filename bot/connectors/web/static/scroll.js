// Keeps the end of a growing text in view, for as long as the reader stays there.

const NEAR_PX = 8;

export class Follower {
  #following = true;
  #lastTop = 0;

  constructor(scroller, content, button) {
    this.scroller = scroller;
    this.button = button;
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    button.addEventListener("click", () => this.toEnd());
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(scroller);
    observer.observe(content);
  }

  toEnd() {
    this.#following = true;
    this.#onResize();
  }

  toStart() {
    this.#following = false;
    this.scroller.scrollTop = 0;
  }

  get #distance() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  // Any move upwards lets go: a distance alone would fight the first pixels of a slow scroll.
  #onScroll() {
    const top = this.scroller.scrollTop;
    if (this.#distance <= NEAR_PX) this.#following = true;
    else if (top < this.#lastTop) this.#following = false;
    this.#lastTop = top;
    this.#showButton();
  }

  #onResize() {
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showButton();
  }

  #showButton() {
    this.button.hidden = this.#following || this.#distance <= NEAR_PX;
  }
}
